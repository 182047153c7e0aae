package pipeline

import (
	"context"
	"slices"
)

// Handler answers one message, or makes one call. in is the decoded argument: a
// pointer, []byte or nil, and of a call whatever its caller gave; the result is a
// pointer, []byte or, for a notify, nil.
type Handler func(ctx context.Context, in any) (any, error)

// Middleware wraps next. It is called once per handler, and once for all calls,
// when the app is made or starts; the Handler it returns is called for every
// message, by many goroutines.
type Middleware func(next Handler) Handler

// Chain makes one Middleware of many. The first is the outermost: it sees the
// argument first and the reply last (see the picture in the package comment).
// nil ones are left out; an empty chain changes nothing.
func Chain(mw ...Middleware) Middleware {
	mw = slices.DeleteFunc(slices.Clone(mw), func(m Middleware) bool { return m == nil })
	return func(next Handler) Handler {
		for _, m := range slices.Backward(mw) {
			next = m(next)
		}
		return next
	}
}

// Before runs fn ahead of the handler. What fn returns goes on in place of
// context and argument (a nil context leaves it as it was); an error ends the
// call and is its answer.
func Before(fn func(ctx context.Context, in any) (context.Context, any, error)) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, in any) (any, error) {
			changed, in, err := fn(ctx, in)
			if err != nil {
				return nil, err
			}
			if changed != nil {
				ctx = changed
			}
			return next(ctx, in)
		}
	}
}

// After runs fn behind the handler, also when that failed. What fn returns is
// the answer.
func After(fn func(ctx context.Context, out any, err error) (any, error)) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, in any) (any, error) {
			out, err := next(ctx, in)
			return fn(ctx, out, err)
		}
	}
}
