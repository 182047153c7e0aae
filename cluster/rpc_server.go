package cluster

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

var _ lifecycle.Module = (*RPCServer)(nil)

// RequestHandler serves what other servers ask.
type RequestHandler interface {
	// ServeRequest is called in the order of arrival, one call at a time. It
	// must not block; every Incoming must end with Reply or Discard, then or
	// later. A panic answers errs.CodeInternal.
	ServeRequest(in *Incoming)
}

// UserHandler serves, on a frontend, what is addressed to users. Its methods
// are called one at a time and must not block. They must not trust that the
// user is here: the uid comes from the payload (wire.md section 7). A panic is
// counted and logged.
type UserHandler interface {
	// HandlePush delivers a push to one user.
	HandlePush(push *clusterpb.Push)
	// HandleKick closes the connections of users, who are named in kick.Uids only.
	HandleKick(kick *clusterpb.KickMsg)
	// HandleBind tells that another frontend has bound a user.
	HandleBind(bind *clusterpb.BindMsg)
}

// RPCServerParams is what NewRPCServer needs.
type RPCServerParams struct {
	Self      *Server            // whose subjects are served
	Transport Transport          // initialised before the server
	Prefix    string             // of every subject, with its slash: "cereus/" or "pitaya/"
	Handler   RequestHandler     // required
	Users     UserHandler        // required on a frontend, unused elsewhere
	Log       logrus.FieldLogger // nil: nothing is logged
	Metrics   RPCMetrics         // nil: nothing is counted
}

// RPCServer receives what other servers send to this one (wire.md sections 7
// and 9). It is a lifecycle.Module.
type RPCServer struct {
	self      *Server
	transport Transport
	subjects  subjects
	handler   RequestHandler
	users     UserHandler
	log       logrus.FieldLogger
	metrics   RPCMetrics
	buffers   bufferPool

	ends       []cancelFunc // of the subscriptions that bring work
	endCancels []cancelFunc // of those that only concern work that is here
	open       openRequests
	cancels    *cancellations
	still      *standstill
	kept       *replyKeeper
	work       *lifecycle.Group
	byUser     userSubscriptions
}

// NewRPCServer returns a server that does nothing before Init.
func NewRPCServer(p RPCServerParams) *RPCServer {
	s := &RPCServer{
		self:      p.Self,
		transport: p.Transport,
		subjects:  subjects{p.Prefix},
		handler:   p.Handler,
		users:     p.Users,
		log:       orDiscard(p.Log),
		metrics:   p.Metrics,
		cancels:   newCancellations(),
		byUser:    userSubscriptions{users: make(map[string]*userSubscription)},
	}
	if s.metrics == nil {
		s.metrics = noMetrics{}
	}
	return s
}

// Name implements lifecycle.Module.
func (s *RPCServer) Name() string { return "rpc server" }

// Init subscribes to the subjects of this server. The transport must be up.
func (s *RPCServer) Init(ctx context.Context) error {
	s.still = newStandstill()
	s.work = lifecycle.NewGroup(context.WithoutCancel(ctx))
	s.kept = newReplyKeeper(s.transport, s.work, func() { s.metrics.CountRPC(EventUndelivered) })
	s.work.Go("rpc server clock", s.watchStandstill) // also while it subscribes, which may take long
	if err := s.subscribe(); err != nil {
		return errors.Join(err, cancelAll(ctx, s.endCancels), s.work.Stop(ctx))
	}
	return nil
}

func (s *RPCServer) subscribe() (err error) {
	if s.endCancels, err = s.subscribeAll(s.hearsCancels()); err != nil {
		return err
	}
	s.ends, err = s.subscribeAll(s.subscriptions())
	return err
}

// subscriptions are those that last as long as the server.
func (s *RPCServer) subscriptions() []subscription {
	subs := []subscription{{subject: s.subjects.server(s.self.Type, s.self.ID), deliver: s.receiveRequest}}
	if !s.self.Frontend || s.users == nil {
		return subs
	}
	return append(subs,
		subscription{subject: s.subjects.bindings(s.self.Type), deliver: s.receiveBind},
		subscription{subject: s.subjects.pushAll(s.self.Type), deliver: s.receivePush},
		subscription{subject: s.subjects.pushOne(s.self.Type, s.self.ID), deliver: s.receivePush},
		subscription{subject: s.subjects.kickAll(s.self.Type), deliver: s.receiveKick},
	)
}

// Unanswered is the number of requests that arrived and are not finished: they
// run or wait to.
func (s *RPCServer) Unanswered() int { return int(s.open.n.Load()) }

// AfterInit implements lifecycle.Module.
func (s *RPCServer) AfterInit(context.Context) error { return nil }

// BeforeShutdown implements lifecycle.Module.
func (s *RPCServer) BeforeShutdown(context.Context) {}

// Shutdown stops receiving, delivers what NATS had sent already, and waits
// until every Incoming is answered or ctx ends.
func (s *RPCServer) Shutdown(ctx context.Context) error {
	err := errors.Join(s.unsubscribe(ctx), s.awaitAnswers(ctx))
	s.kept.send()
	return errors.Join(err, cancelAll(ctx, s.endCancels), s.work.Stop(ctx))
}

// unsubscribe ends every subscription that brings work, the users' included.
func (s *RPCServer) unsubscribe(ctx context.Context) error {
	err := errors.Join(s.byUser.close(ctx), cancelAll(ctx, s.ends))
	s.ends = nil
	return err
}
