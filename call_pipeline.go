package cereus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/route"
)

// calling is a call on its way out through the middleware.
type calling struct {
	call    dispatch.OutgoingCall
	timeout time.Duration // 0: that of ctx
	reply   any           // pointer to read the result into; nil drops it
}

type callingKey struct{}

// CalledRoute is the route that is called, in middleware of WithCallMiddleware;
// "" anywhere else.
func CalledRoute(ctx context.Context) string {
	if c, ok := ctx.Value(callingKey{}).(*calling); ok {
		return c.call.Route
	}
	return ""
}

// errForeignContext: the end of the pipeline does not find its call.
var errForeignContext = errs.New(errs.CodeInternal,
	"a call middleware passed on a context that is not made of the one it was given")

// wrapCalls folds the middleware around outgoing calls.
func (a *App) wrapCalls(mw []pipeline.Middleware) {
	if len(mw) == 0 {
		return
	}
	a.calls = pipeline.Chain(mw...)(func(ctx context.Context, in any) (any, error) {
		c, ok := ctx.Value(callingKey{}).(*calling)
		if !ok {
			return nil, errForeignContext
		}
		return c.reply, a.send(ctx, c, in)
	})
}

// perform makes a call, through the middleware if there is any.
func (a *App) perform(ctx context.Context, c calling, arg any) error {
	if a.calls == nil {
		return a.send(ctx, &c, arg)
	}
	called := c // only this one has to outlive the stack
	out, err := a.callThrough(ctx, &called, arg)
	if err != nil {
		return coded(err)
	}
	return called.settle(out)
}

// coded gives a code to what has none. What has one stays as it is, so that
// cluster.IsUndelivered and the like answer through middleware as well.
func coded(err error) error {
	if e, ok := errors.AsType[*errs.Error](err); ok && e != nil {
		return err
	}
	return errs.From(err)
}

func (a *App) callThrough(ctx context.Context, c *calling, arg any) (out any, err error) {
	defer a.recovered("call middleware", &err)
	return a.calls(context.WithValue(ctx, callingKey{}, c), arg)
}

// recovered makes an error of a panic of the application's own code.
func (a *App) recovered(where string, err *error) {
	if v := recover(); v != nil {
		a.metrics.Panic(where)
		*err = errs.New(errs.CodeInternal, fmt.Sprint(v))
	}
}

// send makes the call itself.
func (a *App) send(ctx context.Context, c *calling, arg any) error {
	payload, err := a.dispatcher.EncodeArgument(arg)
	if err != nil {
		return err
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	c.call.Payload = payload
	data, err := a.dispatcher.RPC(ctx, c.call)
	if err != nil || c.call.OneWay {
		return misrouted(c.call.Route, err)
	}
	return a.dispatcher.DecodeReply(data, c.reply)
}

// misrouted names the route that was wrong. The texts that travel are literal
// (wire.md 4.2) and do not; the route of another call, which the remote made,
// is not this one.
func misrouted(target string, err error) error {
	switch {
	case errors.Is(err, errs.ErrInvalidRoute):
		return fmt.Errorf("%q is not serverType.service.method: %w", target, err)
	case errors.Is(err, errs.ErrRouteNotFound):
		if to, bad := route.Parse(target); bad == nil && to.Short() == errs.From(err).Metadata["route"] {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return err
}

// settle gives the caller what the middleware returned, which may be another
// value than the one that was to be filled: one from a cache.
func (c *calling) settle(out any) error {
	if out == nil || c.reply == nil || sameReply(out, c.reply) {
		return nil
	}
	to := reflect.ValueOf(c.reply)
	switch from := reflect.ValueOf(out); {
	case from.Type() == to.Type() && from.IsNil():
		return nil
	case from.Type() == to.Type():
		copyReply(c.reply, out)
		return nil
	case to.Kind() == reflect.Pointer && !to.IsNil() && from.Type() == to.Type().Elem():
		to.Elem().Set(from)
		return nil
	}
	return errs.New(errs.CodeInternal, fmt.Sprintf("a call middleware returned a %T where the reply is a %T", out, c.reply))
}

// sameReply reports whether the middleware returned the value that was filled.
func sameReply(out, reply any) bool {
	a, b := reflect.ValueOf(out), reflect.ValueOf(reply)
	return a.Kind() == reflect.Pointer && b.Kind() == reflect.Pointer && a.Pointer() == b.Pointer() && a.Type() == b.Type()
}

// copyReply copies between two pointers of one type that are not nil.
func copyReply(to, from any) {
	if m, ok := to.(proto.Message); ok {
		proto.Reset(m)
		proto.Merge(m, from.(proto.Message))
		return
	}
	reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from).Elem())
}
