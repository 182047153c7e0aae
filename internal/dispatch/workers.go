package dispatch

import (
	"context"
	"sync/atomic"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// workers runs jobs, a limited number at once, and of each route a limited
// number of those.
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
	if w.alive.Add(1) > w.limit {
		w.alive.Add(-1)
		return false
	}
	if !j.target.enter() {
		w.alive.Add(-1)
		return false
	}
	j.pool = w
	if !w.jobs.Go(j) {
		j.release()
		return false
	}
	return true
}

func (w *workers) run(_ context.Context, j *job) { j.run() }

// release gives the job's place back; it may be called again.
func (j *job) release() {
	if w := j.pool; w != nil {
		j.pool = nil
		j.target.leave()
		w.alive.Add(-1)
	}
}

// enter takes one of the route's places, or reports false when all are taken.
func (e *endpoint) enter() bool {
	if e == nil || e.limit == 0 || e.running.Add(1) <= e.limit {
		return true
	}
	e.running.Add(-1)
	return false
}

func (e *endpoint) leave() {
	if e != nil && e.limit > 0 {
		e.running.Add(-1)
	}
}
