package component

import (
	"context"

	"github.com/cereus-game/cereus/errs"
)

const bytesType = "[]byte"

// The shapes without types of the application need no reflection to be called.

func rawRequestMethod(name string, fn func(context.Context, []byte) ([]byte, error), as role) *Method {
	m := &Method{Name: name, Kind: KindRequest, as: as, arg: argRaw, argType: bytesType, outType: bytesType}
	if fn == nil {
		return m
	}
	m.raw = fn
	m.call = func(ctx context.Context, arg any) (any, error) {
		body, ok := arg.([]byte)
		if !ok && arg != nil {
			return nil, m.wrongArgument(arg)
		}
		return rawReply(fn(ctx, body))
	}
	return m
}

// Raw reports whether CallRaw may be called: the method takes bytes and
// returns bytes.
func (m *Method) Raw() bool { return m.raw != nil }

// CallRaw is Decode, Call and Encode in one for a method that is Raw, where no
// middleware looks at argument and reply.
func (m *Method) CallRaw(ctx context.Context, body []byte) ([]byte, error) {
	reply, err := m.raw(ctx, present(body))
	switch {
	case err != nil:
		return nil, err
	case reply == nil:
		return nil, errs.ErrNilReply
	}
	return reply, nil
}

// present is data, where no bytes are not nil: a handler that returns what it
// was given must not thereby return nothing.
func present(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

func rawNotifyMethod(name string, fn func(context.Context, []byte), as role) *Method {
	m := &Method{Name: name, Kind: KindNotify, as: as, arg: argRaw, argType: bytesType}
	if fn == nil {
		return m
	}
	m.call = func(ctx context.Context, arg any) (any, error) {
		body, ok := arg.([]byte)
		if !ok && arg != nil {
			return nil, m.wrongArgument(arg)
		}
		fn(ctx, body)
		return nil, nil
	}
	return m
}

func plainRequestMethod(name string, fn func(context.Context) ([]byte, error), as role) *Method {
	m := &Method{Name: name, Kind: KindRequest, as: as, arg: argNone, outType: bytesType}
	m.call = func(ctx context.Context, _ any) (any, error) {
		return rawReply(fn(ctx))
	}
	return m
}

func plainNotifyMethod(name string, fn func(context.Context), as role) *Method {
	m := &Method{Name: name, Kind: KindNotify, as: as, arg: argNone}
	m.call = func(ctx context.Context, _ any) (any, error) {
		fn(ctx)
		return nil, nil
	}
	return m
}

func rawReply(reply []byte, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if reply == nil {
		return nil, errs.ErrNilReply
	}
	return reply, nil
}
