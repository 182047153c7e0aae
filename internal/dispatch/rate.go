package dispatch

import (
	"context"

	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/ratelimit"
	"github.com/cereus-game/cereus/session"
)

// ErrTooFast answers a request beyond a rate.
var ErrTooFast = errs.New(errs.CodeRateLimited, "too many messages: slow down")

// visitor is a session of another server.
type visitor struct {
	frontend string
	session  int64
}

// limitRates has handlers with component.WithRate refuse what sessions of other
// servers send beyond it; for this server's own sessions their readers do. Of
// the others it finds those that nothing stands in front of.
func (d *Dispatcher) limitRates() {
	for _, e := range d.handlers {
		r := ratelimit.Rate(e.method.Rate)
		if !r.Limits() {
			e.direct = d.Handlers == nil && e.method.Raw()
			continue
		}
		d.rated = true
		table, handle := ratelimit.New[visitor](r), e.handle
		e.handle = func(ctx context.Context, arg any) (any, error) {
			s, ok := session.FromContext(ctx)
			if ok && s.Frontend() != d.Self.ID && !table.Allow(visitor{s.Frontend(), s.ID()}) {
				d.Metrics.RateLimited()
				return nil, ErrTooFast
			}
			return handle(ctx, arg)
		}
	}
}

// HasRates reports whether a handler of this server has a rate.
func (d *Dispatcher) HasRates() bool { return d.rated }

// Rated returns the handler of this server that the route leads to, if it has a
// rate, else nil.
func (d *Dispatcher) Rated(route string) *component.Method {
	if !d.rated {
		return nil
	}
	found := d.routes.find(route)
	if found.local == nil || found.local.method == nil || !ratelimit.Rate(found.local.method.Rate).Limits() {
		return nil
	}
	return found.local.method
}
