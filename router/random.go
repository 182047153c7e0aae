package router

import (
	"context"
	"math/rand/v2"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// Random returns the Func that chooses uniformly, without locks and without
// allocating (wire.md 9.2). It honours Call.Exclude by itself.
func Random() Func { return random }

func random(_ context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	if c.Exclude == nil {
		return servers[rand.IntN(len(servers))], nil
	}
	return sample(servers, c.Exclude)
}

// sample chooses uniformly among those that are not excluded, in one pass: the
// n-th of them takes the place of the chosen one with probability 1/n.
func sample(servers []*cluster.Server, excluded func(string) bool) (*cluster.Server, error) {
	var chosen *cluster.Server
	n := 0
	for _, s := range servers {
		if excluded(s.ID) {
			continue
		}
		n++
		if rand.IntN(n) == 0 {
			chosen = s
		}
	}
	if chosen == nil {
		return nil, errs.ErrNoServer
	}
	return chosen, nil
}
