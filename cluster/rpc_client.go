package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nuid"
	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

var _ lifecycle.Module = (*RPCClient)(nil)

// DefaultRPCTimeout is how long a call waits when nothing else is said.
const DefaultRPCTimeout = 5 * time.Second

// RPCClientParams is what NewRPCClient needs.
type RPCClientParams struct {
	Self      *Server            // who calls; shown in timeout errors
	Transport Transport          // initialised before the client
	Prefix    string             // of every subject, with its slash: "cereus/" or "pitaya/"
	Timeout   time.Duration      // of calls; 0 means DefaultRPCTimeout
	Log       logrus.FieldLogger // nil: nothing is logged
	Metrics   RPCMetrics         // nil: nothing is counted
}

// RPCClient calls other servers and sends pushes, kicks and announcements
// (wire.md sections 7 and 9). It is a lifecycle.Module. All methods may be used
// from any goroutine, between Init and Shutdown.
type RPCClient struct {
	self      *Server
	transport Transport
	subjects  subjects
	servers   *serverSubjects
	timeout   time.Duration
	log       logrus.FieldLogger
	metrics   RPCMetrics

	inbox    string // "_INBOX.<id>."; a call's token follows
	pending  *pendingCalls
	buffers  bufferPool
	waiters  waiterPool
	work     *lifecycle.Group
	unwatch  func()
	unlisten cancelFunc
}

// NewRPCClient returns a client that does nothing before Init.
func NewRPCClient(p RPCClientParams) *RPCClient {
	c := &RPCClient{
		self:      p.Self,
		transport: p.Transport,
		subjects:  subjects{p.Prefix},
		servers:   newServerSubjects(subjects{p.Prefix}),
		timeout:   p.Timeout,
		log:       orDiscard(p.Log),
		metrics:   p.Metrics,
		inbox:     inboxPrefix + nuid.Next() + ".",
	}
	if c.timeout <= 0 {
		c.timeout = DefaultRPCTimeout
	}
	if c.metrics == nil {
		c.metrics = noMetrics{}
	}
	c.pending = newPendingCalls(c.expired)
	return c
}

// Name implements lifecycle.Module.
func (c *RPCClient) Name() string { return "rpc client" }

// Init subscribes to the replies. The transport must be up.
func (c *RPCClient) Init(ctx context.Context) error {
	unlisten, err := c.transport.subscribe(subscription{
		subject: c.inbox + "*", deliver: c.receive, mode: deliverAny,
	})
	if err != nil {
		return err
	}
	c.unlisten = unlisten
	c.unwatch = c.transport.watch(c)
	c.work = lifecycle.NewGroup(context.WithoutCancel(ctx))
	c.work.Go("rpc timeouts", c.pending.sweep)
	return nil
}

// AfterInit implements lifecycle.Module.
func (c *RPCClient) AfterInit(context.Context) error { return nil }

// BeforeShutdown implements lifecycle.Module.
func (c *RPCClient) BeforeShutdown(context.Context) {}

// Shutdown fails what is still pending and releases everything. Without an Init
// that succeeded there is nothing to do.
func (c *RPCClient) Shutdown(ctx context.Context) error {
	if c.work == nil {
		return nil
	}
	c.unwatch()
	err := c.unlisten(ctx)
	for _, call := range c.pending.close() {
		call.complete(nil, errMaybe)
	}
	return errors.Join(err, c.work.Stop(ctx))
}

// Epoch is the connection epoch that a call made now is sent in. It rises with
// every reconnect and move of the transport; 0 means never connected.
func (c *RPCClient) Epoch() uint64 { return c.transport.status().epoch }

// Connected reports whether a call made now would be sent.
func (c *RPCClient) Connected() bool { return c.transport.status().connected }

// Go calls to without waiting. done is called exactly once, with either the
// response or an error, from a goroutine of this package (or, when the call
// fails at once, before Go returns, from the caller's); it must not block.
// timeout 0 means the default.
//
// A request with OrderEpoch set is sent only in that epoch; once that is over
// Go fails with an error that IsUndelivered. The errors are those of Call.
func (c *RPCClient) Go(to *Server, req *clusterpb.Request, timeout time.Duration, done func(*clusterpb.Response, error)) {
	if _, err := c.start(to, req, timeout, doneFunc(done)); err != nil {
		done(nil, err)
	}
}

// Call calls to and waits for the response, until ctx ends or the default
// timeout has passed, whichever comes first.
//
// Errors: what the callee answered, as *errs.Error with its code, message and
// metadata; errs.ErrRequestTimeout with metadata timeout, route, server and
// peer.id; Unavailable that IsUndelivered (nobody got it, or not connected);
// Unavailable that IsMaybe (the connection broke meanwhile); TooLarge; and
// errs.CodeClosed around ctx's cause when ctx was cancelled. Then a callee of
// ours is told to stop.
func (c *RPCClient) Call(ctx context.Context, to *Server, req *clusterpb.Request) (*clusterpb.Response, error) {
	timeout := c.timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	if ctx.Err() != nil || timeout <= 0 {
		return nil, c.ended(ctx, callInfo{to: to, route: req.GetMsg().GetRoute(), timeout: timeout})
	}
	w := c.waiters.take()
	token, err := c.start(to, req, timeout, w)
	if err != nil {
		c.waiters.put(w)
		return nil, err
	}
	return c.wait(ctx, w, token)
}

// wait returns what completes w, or fails when ctx ends first.
func (c *RPCClient) wait(ctx context.Context, w *waiter, token uint64) (*clusterpb.Response, error) {
	select {
	case <-w.ready:
	case <-ctx.Done():
		if call, ok := c.pending.take(token); ok {
			c.waiters.put(w)
			c.takeBack(ctx, token, call.info)
			return nil, c.ended(ctx, call.info)
		}
		<-w.ready // somebody else took the call and is about to complete it
	}
	data, err := w.data, w.err
	c.waiters.put(w)
	if err != nil {
		return nil, err
	}
	return decodeResponse(data)
}

// ended is the error of a call whose ctx ended before its response came.
func (c *RPCClient) ended(ctx context.Context, call callInfo) error {
	cause := context.Cause(ctx)
	if cause != nil && ctx.Err() != context.DeadlineExceeded {
		return errs.Wrap(errs.CodeClosed, &cancelledError{cause})
	}
	c.metrics.CountRPC(EventTimeout)
	return c.timeoutError(call)
}

// start sends req and leaves done pending under the returned token. When it
// fails, done is not called.
func (c *RPCClient) start(to *Server, req *clusterpb.Request, timeout time.Duration, done completer) (uint64, error) {
	if timeout <= 0 {
		timeout = c.timeout
	}
	subject, err := c.servers.server(to)
	if err != nil {
		return 0, err
	}
	bundle := ""
	if to.Has(constants.CapBundle) {
		bundle = subject
	}
	body, err := c.encode(req)
	if err != nil {
		return 0, err
	}
	info := callInfo{to: to, route: req.GetMsg().GetRoute(), timeout: timeout}
	token, err := c.pending.add(done, info)
	if err != nil {
		body.release()
		return 0, err
	}
	err = c.transport.publish(outgoing{
		subject: subject,
		reply:   c.inbox,
		body:    body,
		lone:    c.pending.count.Load() == 1,
		epoch:   req.GetOrderEpoch(),
		bundle:  bundle,
		call:    c,
		token:   token,
	})
	if err == nil {
		return token, nil
	}
	if _, mine := c.pending.take(token); !mine {
		return token, nil // completed meanwhile: done has been, or will be, told
	}
	c.metrics.CountRPC(EventUndelivered)
	return 0, err
}

// encode returns m for sending, or why it cannot be sent.
func (c *RPCClient) encode(m proto.Message) (*buffer, error) {
	body, err := c.buffers.encode(m)
	if err != nil {
		return nil, &undeliveredError{errs.Wrap(errs.CodeBadRequest, err)}
	}
	if limit := c.transport.status().maxPayload; limit > 0 && len(body.b) > limit {
		body.release()
		c.metrics.CountRPC(EventTooLarge)
		return nil, errPayload
	}
	return body, nil
}

// errPayload: over the limit that the NATS server told.
var errPayload = undelivered(errs.CodeTooLarge, "the message is larger than NATS accepts: send less, or raise max_payload")
