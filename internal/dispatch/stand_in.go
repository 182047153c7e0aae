package dispatch

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// errNoFrontend is what the reference says when a session's frontend is unknown.
var errNoFrontend = errs.New(errs.CodeInternal, "can't find any server with the provided ID")

// How long, and how often, is looked for a frontend that nobody has heard of.
const (
	newcomerTime  = time.Second
	newcomerPause = 5 * time.Millisecond
)

// standIn makes the session of a forwarded message: what it does travels back
// to the frontend that holds the player.
func (d *Dispatcher) standIn(req *clusterpb.Request) (*session.Session, error) {
	entity := &backend{d: d}
	s, err := session.New(session.Params{
		ID: req.GetSession().GetId(), UID: req.GetSession().GetUid(), Data: req.GetSession().GetData(),
		Frontend: req.GetFrontendID(), Backend: true, Entity: entity, Log: d.Log,
	})
	entity.s = s
	return s, err
}

// backend is what the session of another server's player can do from here.
type backend struct {
	d *Dispatcher
	s *session.Session
}

var _ session.Entity = (*backend)(nil)

// Push sends v to the client behind the session.
func (b *backend) Push(ctx context.Context, route string, v any) error {
	if b.s.UID() == "" {
		return errs.ErrNotBound
	}
	frontend, err := b.frontend(ctx)
	if err != nil {
		return err
	}
	data, err := b.d.EncodePush(route, v)
	if err != nil {
		return err
	}
	push := &clusterpb.Push{Route: route, Uid: b.s.UID(), Data: data}
	if frontend.Has(constants.CapPush) {
		push.Session = b.s.ID()
		return b.d.client.PushToFrontend(frontend, push)
	}
	return b.d.client.PushToUser(frontend.Type, b.s.UID(), push)
}

// Bind asks the session's frontend to bind it.
func (b *backend) Bind(ctx context.Context, s *session.Session, uid string) error {
	return b.ask(ctx, routeBindSession, &clusterpb.Session{Id: s.ID(), Uid: uid})
}

// Save sends what changed: a frontend of ours merges it, a Pitaya one takes the whole.
func (b *backend) Save(ctx context.Context, s *session.Session, changes, all []byte) error {
	frontend, err := b.frontend(ctx)
	if err != nil {
		return err
	}
	msg := &clusterpb.Session{Id: s.ID(), Uid: s.UID(), Data: all}
	if frontend.Has(constants.CapMerge) {
		msg.Data, msg.Changed = nil, changes
		msg.Writer, msg.Version = b.d.Self.Nonce, b.d.saves.Add(1)
	}
	return b.ask(ctx, routePushSession, msg)
}

// Kick has the session's frontend kick its client. A Pitaya one tells no reason
// and has one session of a user.
func (b *backend) Kick(ctx context.Context, s *session.Session, reason string) error {
	if s.UID() == "" {
		return errs.ErrNotBound
	}
	frontend, err := b.frontend(ctx)
	if err != nil {
		return err
	}
	kick := &clusterpb.KickMsg{UserId: s.UID()}
	if frontend.Has(constants.CapPush) {
		kick.Reason, kick.Session = reason, s.ID()
	}
	return b.ask(ctx, routeKick, kick)
}

// Close does nothing: a stand-in has no connection.
func (b *backend) Close(string) {}

// frontend is the server that holds the player. It registers before it lets players
// in, but this server may hear of it after their first messages.
func (b *backend) frontend(ctx context.Context) (*cluster.Server, error) {
	if b.d.discovery == nil {
		return nil, errNoFrontend
	}
	ctx, cancel := context.WithTimeout(ctx, newcomerTime)
	defer cancel()
	for {
		server, ok := b.d.discovery.Server(b.s.Frontend())
		switch {
		case ok:
			return server, nil
		case !wait(ctx, newcomerPause):
			return nil, errNoFrontend
		}
	}
}

// ask calls a sys remote of the session's frontend.
func (b *backend) ask(ctx context.Context, route string, arg proto.Message) error {
	frontend, err := b.frontend(ctx)
	if err != nil {
		return err
	}
	data, err := proto.Marshal(arg)
	if err != nil {
		return errs.Wrap(errs.CodeInternal, err)
	}
	_, err = b.d.callOne(ctx, frontend, route, data)
	return err
}
