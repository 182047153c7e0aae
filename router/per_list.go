package router

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/cereus-game/cereus/cluster"
)

// The lists that are remembered at a time: as many as fit into sets that are
// one cache line each.
const (
	listSets = 8
	listWays = 8
)

// perList remembers what was worked out about lists of servers, of the latest 64
// of them or so. Lists are never changed, so one that is in the same place in
// memory is the same; it cannot be another one's place by now, because what is
// remembered holds the list. It takes no lock: two that meet a new list at once
// may both work it out.
type perList[T any] struct {
	work func(list []*cluster.Server) T
	seed maphash.Seed
	sets [listSets]listSet[T]
}

type listSet[T any] struct {
	ways [listWays]atomic.Pointer[worked[T]]
	next atomic.Uint32 // the way that is given up next
}

type worked[T any] struct {
	list  []*cluster.Server
	facts T
}

func newPerList[T any](work func([]*cluster.Server) T) *perList[T] {
	return &perList[T]{work: work, seed: maphash.MakeSeed()}
}

// of is what is known about the list, which has at least one server.
func (p *perList[T]) of(list []*cluster.Server) T {
	set := &p.sets[maphash.Comparable(p.seed, &list[0])%listSets]
	for i := range set.ways {
		if w := set.ways[i].Load(); w != nil && &w.list[0] == &list[0] && len(w.list) == len(list) {
			return w.facts
		}
	}
	w := &worked[T]{list, p.work(list)}
	set.ways[set.next.Add(1)%listWays].Store(w)
	return w.facts
}
