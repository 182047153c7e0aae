package cereus

import (
	"context"

	"github.com/cereus-game/cereus/internal/dispatch"
)

// RPC calls the remote at route, "serverType.service.method", and reads its
// result into reply, a pointer or protobuf message; nil drops it. arg may be a
// protobuf message, which travels as protobuf; []byte, which travels as it is;
// nil, for remotes that take no argument or bytes; or anything that the app's
// serializer takes.
//
// Errors are, or wrap, *errs.Error: what the remote returned; Timeout when no
// reply came in time; Unavailable when there is no server or the connection
// broke (with metadata maybe=true if the call may have run); Busy when the
// server has no room; TooLarge; Closed when ctx was cancelled, of which the
// callee is told; BadRequest for a bad route, argument or options that exclude
// each other. cluster.IsUndelivered and cluster.IsRefused report errors of calls
// that certainly did not run. A call that reached nobody has been tried on every
// server of the type, unless To or ToLeader names one. docs/calls.md has a table
// of all errors.
func (a *App) RPC(ctx context.Context, route string, reply, arg any, opts ...CallOption) error {
	o, err := gather(opts)
	if err != nil {
		return err
	}
	return a.perform(ctx, calling{call: o.outgoing(route, false), timeout: o.timeout, reply: reply}, arg)
}

// Notify calls the remote at route and waits only until it was taken, not for
// its result. Its errors are those of RPC but for what the remote returns.
func (a *App) Notify(ctx context.Context, route string, arg any, opts ...CallOption) error {
	o, err := gather(opts)
	if err != nil {
		return err
	}
	return a.perform(ctx, calling{call: o.outgoing(route, true), timeout: o.timeout}, arg)
}

// Call is App.RPC with the reply as a result. For a remote that answers bytes,
// Reply is []byte.
func Call[Reply any](ctx context.Context, app *App, route string, arg any, opts ...CallOption) (*Reply, error) {
	reply := new(Reply)
	if err := app.RPC(ctx, route, reply, arg, opts...); err != nil {
		return nil, err
	}
	return reply, nil
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
