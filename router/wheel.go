package router

import (
	"math/rand/v2"

	"github.com/cereus-game/cereus/cluster"
)

// wheel lays a list of servers out on the numbers below total, each on as many
// of them as its share of the work.
type wheel struct {
	total uint64
	// ends has for each server the first number behind its own; nil when each has one.
	ends []uint64
	// starts has, for each of as many equal parts of the numbers as there are
	// servers, the server at the part's beginning. A part is as long as the average
	// share, so that from there it is one step on average.
	starts []int32
}

func newWheel(list []*cluster.Server) *wheel {
	unit, even := list[0].Share(), true
	for _, s := range list {
		even = even && s.Share() == list[0].Share()
		unit = int(divisor(uint64(unit), uint64(s.Share())))
	}
	if even {
		return &wheel{total: uint64(len(list))}
	}
	w := &wheel{ends: make([]uint64, len(list)), starts: make([]int32, len(list))}
	for i, s := range list {
		w.total += uint64(s.Share() / unit)
		w.ends[i] = w.total
	}
	parts, at := uint64(len(list)), 0
	for part := range parts {
		for w.ends[at]*parts <= part*w.total {
			at++
		}
		w.starts[part] = int32(at)
	}
	return w
}

// divisor is the greatest common one.
func divisor(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// at is the place in the list of the server to whom the number n belongs.
func (w *wheel) at(n uint64) int {
	if w.ends == nil {
		return int(n)
	}
	i := int(w.starts[n*uint64(len(w.starts))/w.total])
	for w.ends[i] <= n {
		i++
	}
	return i
}

// draw chooses one of the list at random, in proportion to the shares.
func (w *wheel) draw(list []*cluster.Server) *cluster.Server {
	return list[w.at(rand.Uint64N(w.total))]
}
