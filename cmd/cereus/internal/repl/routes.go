package repl

import (
	"slices"
	"sync"
)

// maxRoutes bounds what is remembered.
const maxRoutes = 1000

// routes are the routes that were seen, for completion.
type routes struct {
	mu   sync.Mutex // guards seen
	seen []string   // sorted
}

func newRoutes() *routes { return &routes{} }

// add remembers a route, unless it holds what would steer the terminal that it
// is shown on as a completion: servers choose routes, too.
func (r *routes) add(route string) {
	if clean(route) != route {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, found := slices.BinarySearch(r.seen, route); !found && len(r.seen) < maxRoutes {
		r.seen = slices.Insert(r.seen, i, route)
	}
}

func (r *routes) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}
