package dispatch

import (
	"context"
	"sync/atomic"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// residentWorkers is how many goroutines wait for the next remote rather than end.
const residentWorkers = 30

// workers runs remotes on goroutines that are used again.
type workers struct {
	group *lifecycle.Group
	limit int64
	alive atomic.Int64
	work  chan func()
}

func (w *workers) init(g *lifecycle.Group, limit int) {
	w.group, w.limit, w.work = g, int64(limit), make(chan func())
}

// try runs fn soon, or reports false when the limit of running ones is reached.
func (w *workers) try(fn func()) bool {
	select {
	case w.work <- fn:
		return true
	default:
	}
	if w.alive.Add(1) > w.limit {
		w.alive.Add(-1)
		return false
	}
	if w.group.Go("remote worker", func(ctx context.Context) { w.run(ctx, fn) }) {
		return true
	}
	w.alive.Add(-1)
	return false
}

func (w *workers) run(ctx context.Context, fn func()) {
	defer w.alive.Add(-1)
	for fn != nil {
		fn()
		fn = w.next(ctx)
	}
}

// next waits for more work when there are few workers; else it takes what is there.
func (w *workers) next(ctx context.Context) func() {
	if w.alive.Load() > residentWorkers {
		select {
		case fn := <-w.work:
			return fn
		default:
			return nil
		}
	}
	select {
	case fn := <-w.work:
		return fn
	case <-ctx.Done():
		return nil
	}
}
