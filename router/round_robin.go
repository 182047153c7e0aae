package router

import (
	"context"
	"math/rand/v2"
	"sync/atomic"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// golden is the golden ratio's fraction: steps of that part of a circle spread
// over it as evenly as steps of one length can, wherever one stops.
const golden = 0.6180339887498949

// RoundRobin chooses one server after the other. With different weights, one of
// twice the weight comes twice as often, and its turns are spread out rather
// than one after the other. The turns are this process's own: every one begins
// at a random place, and anew with every change of the list. Servers that are busy
// have none while there are others. It takes no lock, allocates nothing and costs
// the same for any number of servers.
//
// It evens out what one process sends, exactly and not only on average; that
// counts where a process makes few calls and each is long. Otherwise [Random] is
// as good.
func RoundRobin() Func { return sparing((&roundRobin{newPerList(newTurns)}).choose) }

type roundRobin struct{ turns *perList[*turns] }

// turns go around a wheel in steps that meet each of its numbers once before
// they meet one twice.
type turns struct {
	wheel       *wheel
	start, step uint64
	taken       atomic.Uint64
}

func newTurns(list []*cluster.Server) *turns {
	t := &turns{wheel: newWheel(list), step: 1}
	t.start = rand.Uint64N(t.wheel.total)
	if t.wheel.ends == nil {
		return t
	}
	t.step = max(1, uint64(float64(t.wheel.total)*golden))
	for divisor(t.step, t.wheel.total) != 1 {
		t.step++
	}
	return t
}

// next is the place in the list of whose turn it is.
func (t *turns) next() int {
	n := t.taken.Add(1) % t.wheel.total
	return t.wheel.at((t.start + n*t.step) % t.wheel.total)
}

func (r *roundRobin) choose(_ context.Context, _ Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	return servers[r.turns.of(servers).next()], nil
}
