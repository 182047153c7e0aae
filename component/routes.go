package component

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/cereus-game/cereus/errs"
	"google.golang.org/protobuf/proto"
)

// Router is a component that lists its handlers and remotes itself.
type Router interface {
	Routes(r *Routes)
}

// None is the argument type of a listed method that takes none: the body of
// the message is ignored. A method that is found simply leaves it out.
type None struct{}

// Routes collects what a component lists. It is good only during the call of
// the component's Routes method.
type Routes struct {
	methods []*Method
	faults  []error
}

// Handle lists a request handler: clients call it as
// "<serverType>.<service>.<name>". The argument comes from the message body
// through the app's serializer; a nil reply without an error is an error.
func Handle[Req, Rep any](
	r *Routes, name string, fn func(context.Context, *Req) (*Rep, error), opts ...RouteOption,
) {
	r.add(requestMethod(name, fn, asHandlers), opts)
}

// HandleRaw lists a request handler whose argument and reply bypass the
// serializer. The argument may be kept but not changed.
func HandleRaw(r *Routes, name string, fn func(context.Context, []byte) ([]byte, error), opts ...RouteOption) {
	r.add(rawRequestMethod(name, fn, asHandlers), opts)
}

// Notify lists a handler that does not answer. A client's request to it is
// refused (wire.md 4.2).
func Notify[Req any](r *Routes, name string, fn func(context.Context, *Req), opts ...RouteOption) {
	m := typedMethod[Req](name, KindNotify, asHandlers)
	if fn == nil {
		r.add(m, opts)
		return
	}
	m.call = func(ctx context.Context, arg any) (any, error) {
		req, err := argument[Req](m, arg)
		if err != nil {
			return nil, err
		}
		fn(ctx, req)
		return nil, nil
	}
	r.add(m, opts)
}

// NotifyRaw lists a handler that does not answer and takes the body as it is.
func NotifyRaw(r *Routes, name string, fn func(context.Context, []byte), opts ...RouteOption) {
	r.add(rawNotifyMethod(name, fn, asHandlers), opts)
}

// Remote lists a method that other servers call. Protobuf messages travel as
// protobuf whatever the app's serializer; other types go through it.
func Remote[Req, Rep any](
	r *Routes, name string, fn func(context.Context, *Req) (*Rep, error), opts ...RouteOption,
) {
	r.add(requestMethod(name, fn, asRemotes), opts)
}

// RemoteRaw lists a method that other servers call, with bytes in and out.
func RemoteRaw(r *Routes, name string, fn func(context.Context, []byte) ([]byte, error), opts ...RouteOption) {
	r.add(rawRequestMethod(name, fn, asRemotes), opts)
}

func (r *Routes) add(m *Method, opts []RouteOption) {
	if m.call == nil {
		r.faults = append(r.faults, fmt.Errorf("%q: the function is nil", m.Name))
		return
	}
	for _, o := range opts {
		if c, ok := o.(chooser); ok && len(c.names()) > 0 {
			r.faults = append(r.faults, fmt.Errorf("%q: %s takes no names on a single route", m.Name, c.title()))
		}
		r.faults = append(r.faults, o.applyRoute(m))
	}
	r.methods = append(r.methods, m)
}

// listed asks a component for its routes.
func listed(c Router) (methods []*Method, err error) {
	defer func() {
		if v := recover(); v != nil {
			methods, err = nil, fmt.Errorf("method Routes panicked: %v", v)
		}
	}()
	r := &Routes{}
	c.Routes(r)
	return r.methods, errors.Join(r.faults...)
}

func requestMethod[Req, Rep any](name string, fn func(context.Context, *Req) (*Rep, error), as role) *Method {
	m := typedMethod[Req](name, KindRequest, as)
	m.outType = reflect.TypeFor[*Rep]().String()
	if fn == nil {
		return m // add reports it
	}
	m.call = func(ctx context.Context, arg any) (any, error) {
		req, err := argument[Req](m, arg)
		if err != nil {
			return nil, err
		}
		reply, err := fn(ctx, req)
		if err != nil {
			return nil, err
		}
		if reply == nil {
			return nil, errs.ErrNilReply
		}
		return reply, nil
	}
	return m
}

func typedMethod[Req any](name string, kind Kind, as role) *Method {
	m := &Method{Name: name, Kind: kind, as: as, arg: argTyped}
	m.argType = reflect.TypeFor[*Req]().String()
	if _, none := any((*Req)(nil)).(*None); none {
		m.arg, m.argType = argNone, ""
		return m
	}
	if _, ok := any((*Req)(nil)).(proto.Message); ok && as == asRemotes {
		m.arg = argProto
	}
	m.newArg = func() any { return new(Req) }
	return m
}

func argument[Req any](m *Method, arg any) (*Req, error) {
	if req, ok := arg.(*Req); ok {
		return req, nil
	}
	if m.arg == argNone {
		return nil, nil
	}
	return nil, m.wrongArgument(arg)
}
