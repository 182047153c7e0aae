package cereus

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/route"
)

// CallOption is one choice made for a call.
type CallOption interface{ applyCall(c *callOptions) }

type callOptions struct {
	serverID string
	timeout  time.Duration
}

type callOptionFunc func(c *callOptions)

func (f callOptionFunc) applyCall(c *callOptions) { f(c) }

// To calls the server with the given id instead of letting the router pick one.
func To(serverID string) CallOption {
	return callOptionFunc(func(c *callOptions) { c.serverID = serverID })
}

// WithTimeout bounds the call. The earliest of this, the deadline of ctx and
// cluster.rpc.client.nats.requesttimeout holds. 0 and less bound nothing.
func WithTimeout(d time.Duration) CallOption {
	return callOptionFunc(func(c *callOptions) { c.timeout = d })
}

// RPC calls the remote at route, "serverType.service.method", and reads its
// result into reply, a pointer or protobuf message; nil drops it. arg may be a
// protobuf message, which travels as protobuf; []byte, which travels as it is;
// nil; or anything that the app's serializer takes.
//
// Errors are *errs.Error: what the remote returned; Timeout when no reply came
// in time; Unavailable when there is no server or the connection broke (with
// metadata maybe=true if the call may have run); BadRequest for a bad route or
// argument. A call that reached nobody has been tried on every server of the
// type, unless To names one.
func (a *App) RPC(ctx context.Context, route string, reply, arg any, opts ...CallOption) error {
	data, err := a.call(ctx, dispatch.OutgoingCall{Route: route}, arg, opts)
	if err != nil {
		return err
	}
	return a.dispatcher.DecodeReply(data, reply)
}

// Notify calls the remote at route and waits only until it was taken, not for
// its result.
func (a *App) Notify(ctx context.Context, route string, arg any, opts ...CallOption) error {
	_, err := a.call(ctx, dispatch.OutgoingCall{Route: route, OneWay: true}, arg, opts)
	return err
}

func (a *App) call(ctx context.Context, c dispatch.OutgoingCall, arg any, opts []CallOption) ([]byte, error) {
	var o callOptions
	for _, opt := range opts {
		opt.applyCall(&o)
	}
	payload, err := a.dispatcher.EncodeArgument(arg)
	if err != nil {
		return nil, err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	c.ServerID, c.Payload = o.serverID, payload
	return a.dispatcher.RPC(ctx, c)
}

// Call is App.RPC with the reply as a result.
func Call[Reply any](ctx context.Context, app *App, route string, arg any, opts ...CallOption) (*Reply, error) {
	reply := new(Reply)
	if err := app.RPC(ctx, route, reply, arg, opts...); err != nil {
		return nil, err
	}
	return reply, nil
}

// Result is what one server of CallAll answered.
type Result[Reply any] struct {
	ServerID string
	Reply    *Reply // nil when Err is not
	Err      error
}

// CallAll calls the remote at route on every server of its type, this one
// excepted, at the same time, and returns one Result per server, sorted by
// server id. The error is that of a route without a server type or of a type
// without servers.
func CallAll[Reply any](ctx context.Context, app *App, target string, arg any, opts ...CallOption) ([]Result[Reply], error) {
	parsed, err := route.Parse(target)
	if err != nil {
		return nil, err
	}
	var results []Result[Reply]
	if app.discovery != nil {
		for _, s := range app.discovery.ServersByType(parsed.ServerType) {
			if s.ID != app.self.ID {
				results = append(results, Result[Reply]{ServerID: s.ID})
			}
		}
	}
	if len(results) == 0 {
		return nil, errs.ErrNoServer
	}
	var calls errgroup.Group
	for i := range results {
		r := &results[i]
		calls.Go(func() error {
			r.Reply, r.Err = Call[Reply](ctx, app, target, arg, append(opts[:len(opts):len(opts)], To(r.ServerID))...)
			return nil
		})
	}
	return results, calls.Wait()
}

// WithValue returns a context whose calls, over any number of hops, carry key
// with the JSON form of value. Keys of the framework (wire.md 9.3) are refused.
func WithValue(ctx context.Context, key string, value any) (context.Context, error) {
	return dispatch.WithValue(ctx, key, value)
}

// Value reads into v, a pointer, what a caller gave WithValue for key. It
// reports false when no caller did.
func Value(ctx context.Context, key string, v any) (bool, error) {
	return dispatch.Value(ctx, key, v)
}

// RequestID names the client's request that ctx serves, the same on all
// servers that take part; "" outside of a handler or remote.
func RequestID(ctx context.Context) string {
	if c := dispatch.FromContext(ctx); c != nil {
		return c.RequestID()
	}
	return ""
}
