package cereus_test

import (
	"context"
	"slices"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/router"
)

// pick is a router that knows only one server.
func pick(id string) router.Func {
	return func(_ context.Context, _ router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		i := slices.IndexFunc(servers, func(s *cluster.Server) bool { return s.ID == id })
		if i < 0 {
			return nil, errs.ErrNoServer
		}
		return servers[i], nil
	}
}
