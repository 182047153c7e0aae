package pipeline

import (
	"context"
	"time"
)

// Observe tells fn of every message how long it took what it wraps, and its
// error, for metrics and logs. fn is called before the answer goes on and must
// be quick. Of a panic it hears with a nil error, and the panic goes on; put it
// before [Recover], outside of it, and it hears the error that Recover made.
func Observe(fn func(ctx context.Context, elapsed time.Duration, err error)) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, in any) (out any, err error) {
			begin := time.Now()
			defer func() { fn(ctx, time.Since(begin), err) }()
			return next(ctx, in)
		}
	}
}
