package router

import (
	"math/rand/v2"
	"slices"

	"github.com/cereus-game/cereus/cluster"
)

// weights are what the weights in one list of servers come to.
type weights struct {
	list []*cluster.Server // at least one
	// sums has for each server the weight of all up to it; nil when all weigh the same.
	sums []int
}

func count(list []*cluster.Server) *weights {
	share := list[0].Share()
	differs := func(s *cluster.Server) bool { return s.Share() != share }
	if !slices.ContainsFunc(list, differs) {
		return &weights{list: list}
	}
	w, total := &weights{list: list, sums: make([]int, len(list))}, 0
	for i, s := range list {
		total += s.Share()
		w.sums[i] = total
	}
	return w
}

// of reports whether these are the weights of list. Lists are never changed, so
// one that is in the same place in memory is the same; it cannot be another
// one's place by now, because w still holds it.
func (w *weights) of(list []*cluster.Server) bool {
	return len(w.list) == len(list) && &w.list[0] == &list[0]
}

// draw is the place in the list of the one that is chosen.
func (w *weights) draw() int {
	if w.sums == nil {
		return rand.IntN(len(w.list))
	}
	n, _ := slices.BinarySearch(w.sums, 1+rand.IntN(w.sums[len(w.sums)-1]))
	return n
}
