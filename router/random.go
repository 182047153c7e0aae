package router

import (
	"context"
	"math/rand/v2"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// Random returns the Func that chooses at random, in proportion to the weights
// of the servers ([cluster.Server.Share]: 0 counts as 100): with equal weights,
// as when nobody sets any, uniformly (wire.md 9.2). It takes no lock, allocates
// nothing as long as it is given the same list, and honours Call.Exclude by
// itself. A list that it was given must not be changed afterwards; discovery's
// never are.
func Random() Func { return newRandom().choose }

// random remembers what the weights in the latest list of each type come to.
type random struct {
	latest *xsync.Map[string, *weights]
}

func newRandom() *random { return &random{latest: xsync.NewMap[string, *weights]()} }

func (r *random) choose(_ context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	switch {
	case len(servers) == 0:
		return nil, errs.ErrNoServer
	case c.Exclude != nil:
		return sample(servers, c.Exclude)
	}
	return servers[r.weights(c.ServerType, servers).draw()], nil
}

// weights are those of a list: remembered, or counted because there is another
// list than before.
func (r *random) weights(serverType string, servers []*cluster.Server) *weights {
	if w, ok := r.latest.Load(serverType); ok && w.of(servers) {
		return w
	}
	w := count(servers)
	r.latest.Store(serverType, w)
	return w
}

// sample chooses among those that are not excluded, in one pass: each takes the
// place of the chosen one with the probability of its part of all weight so far.
func sample(servers []*cluster.Server, excluded func(string) bool) (*cluster.Server, error) {
	var chosen *cluster.Server
	total := 0
	for _, s := range servers {
		if excluded(s.ID) {
			continue
		}
		share := s.Share()
		total += share
		if rand.IntN(total) < share {
			chosen = s
		}
	}
	if chosen == nil {
		return nil, errs.ErrNoServer
	}
	return chosen, nil
}
