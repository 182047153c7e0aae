package pipeline

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/cereus-game/cereus/errs"
)

// RecoverParams configure [Recover].
type RecoverParams struct {
	// Panicked hears of every panic, with its value and stack, for logs and
	// metrics; nil is fine. It must not panic itself.
	Panicked func(ctx context.Context, value any, stack []byte)
	// Hide answers "internal error" instead of the panic's value (config key
	// errors.hidepanics).
	Hide bool
}

// Recover turns a panic of what it wraps into an [errs.CodeInternal] error
// whose message is the panic's value, never its stack (wire.md 4.2). A handler
// that ends its goroutine with runtime.Goexit cannot be recovered.
func Recover(p RecoverParams) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, in any) (out any, err error) {
			defer func() {
				if v := recover(); v != nil {
					out, err = nil, p.report(ctx, v)
				}
			}()
			return next(ctx, in)
		}
	}
}

func (p RecoverParams) report(ctx context.Context, value any) error {
	if p.Panicked != nil {
		p.Panicked(ctx, value, debug.Stack())
	}
	if p.Hide {
		return errs.New(errs.CodeInternal, errs.CodeInternal.Text())
	}
	return errs.New(errs.CodeInternal, fmt.Sprint(value))
}
