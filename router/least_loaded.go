package router

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// LeastLoaded draws two servers at random, in proportion to their weights, and
// chooses the one with the lower load for its weight; of equals the one drawn
// first. Two are enough: a slow server is avoided as soon as calls pile up
// there, and many callers with knowledge a second old do not all run to the one
// server that was idle then, as they do when each takes the least of all. Servers
// that say that they are busy are drawn only when there are no others, whatever
// their load. It takes no lock, allocates nothing and costs the same for any
// number of servers.
//
// A nil load is none: then it chooses as [Random] does.
func LeastLoaded(load LoadFunc) Func {
	if load == nil {
		return Random()
	}
	return sparing((&leastLoaded{newPerList(newWheel), load}).choose)
}

type leastLoaded struct {
	wheels *perList[*wheel]
	load   LoadFunc
}

func (l *leastLoaded) choose(_ context.Context, _ Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	w := l.wheels.of(servers)
	first := w.draw(servers)
	second := w.drawOther(servers, first)
	if second != first && l.load.perShare(second) < l.load.perShare(first) {
		return second, nil
	}
	return first, nil
}

// attempts is how often drawOther draws before it goes through the servers one by one.
const attempts = 8

// drawOther draws one that is not first, if there is one.
func (w *wheel) drawOther(list []*cluster.Server, first *cluster.Server) *cluster.Server {
	if len(list) == 1 {
		return first
	}
	for range attempts {
		if s := w.draw(list); s != first {
			return s
		}
	}
	start := rand.IntN(len(list)) // first has nearly all the weight: any other will do
	for i := range list {
		if s := list[(start+i)%len(list)]; s != first {
			return s
		}
	}
	return first
}

// of is the load, made a number that can be compared.
func (load LoadFunc) of(s *cluster.Server) float64 {
	n := load(s)
	if math.IsNaN(n) {
		return math.MaxFloat64
	}
	return min(max(n, 0), math.MaxFloat64)
}

func (load LoadFunc) perShare(s *cluster.Server) float64 { return load.of(s) / float64(s.Share()) }
