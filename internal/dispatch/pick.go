package dispatch

import (
	"context"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/session"
)

// pick asks the router for a server that this call did not try.
func (d *Dispatcher) pick(ctx context.Context, c router.Call, tried []targetKey) (*cluster.Server, error) {
	if d.discovery == nil {
		return nil, errs.ErrNoServer
	}
	servers := without(d.candidates(c.ServerType), tried)
	if c.Key != "" {
		return d.Router.PickByKey(ctx, c, servers)
	}
	return d.Router.Pick(ctx, c, servers)
}

// buildOf is the build number of the session's client; "" on a backend, which
// is not told.
func buildOf(s *session.Session) string {
	if h := s.Handshake(); h != nil {
		return h.Sys.BuildNumber
	}
	return ""
}
