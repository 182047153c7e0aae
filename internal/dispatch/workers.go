package dispatch

import (
	"context"
	"sync/atomic"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// workers runs remotes, a limited number at once.
type workers struct {
	jobs  *lifecycle.Workers[*job]
	limit int64
	alive atomic.Int64
}

func (w *workers) init(g *lifecycle.Group, name string, limit int) {
	w.jobs, w.limit = lifecycle.NewWorkers(g, name, w.run), int64(limit)
}

// try runs j soon, or reports false when the limit of running ones is reached.
func (w *workers) try(j *job) bool {
	if w.alive.Add(1) <= w.limit && w.jobs.Go(j) {
		return true
	}
	w.alive.Add(-1)
	return false
}

func (w *workers) run(_ context.Context, j *job) {
	defer w.alive.Add(-1) // deferred: a remote may end its goroutine
	j.run()
}
