package lifecycle

import (
	"context"
	"math/rand/v2"
	"sync"
)

const (
	workerShards = 8
	keptWorkers  = 16 // idle ones of each shard
)

// Workers runs short pieces of work on goroutines of a Group that are used
// again: such a goroutine has the stack that the work needs, while a new one
// has to grow it, which costs more than a message does. Up to 128 goroutines
// stay idle until the group is stopped.
type Workers[T any] struct {
	group  *Group
	name   string
	run    func(context.Context, T)
	shards [workerShards]workerShard[T]
}

// workerShard keeps goroutines that wait for work, the latest on top.
type workerShard[T any] struct {
	mu     sync.Mutex // guards the fields below, for a few instructions
	idle   []chan T   // each has room for one
	closed bool
	_      [24]byte // a cache line of its own
}

// NewWorkers returns workers of group that do run. name is a constant, as for
// Group.Go.
func NewWorkers[T any](group *Group, name string, run func(context.Context, T)) *Workers[T] {
	w := &Workers[T]{group: group, name: name, run: run}
	context.AfterFunc(group.Context(), w.dismiss)
	return w
}

// Go does work on a goroutine that waits for some, else on a new one. It
// reports false, and does nothing, in a group that is stopping.
func (w *Workers[T]) Go(work T) bool {
	first := rand.Uint32()
	for i := range uint32(2) {
		if idle := w.shards[(first+i)%workerShards].pop(); idle != nil {
			idle <- work
			return true
		}
	}
	return w.group.Go(w.name, func(ctx context.Context) { w.serve(ctx, work) })
}

func (w *Workers[T]) serve(ctx context.Context, work T) {
	next := make(chan T, 1)
	for more := true; more; {
		w.run(ctx, work)
		if !w.shards[rand.Uint32()%workerShards].push(next) {
			return
		}
		work, more = <-next
	}
}

func (s *workerShard[T]) pop() chan T {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	top := s.idle[n-1]
	s.idle = s.idle[:n-1]
	return top
}

func (s *workerShard[T]) push(idle chan T) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) == keptWorkers {
		return false
	}
	s.idle = append(s.idle, idle)
	return true
}

// dismiss ends the idle goroutines; the others end after their work.
func (w *Workers[T]) dismiss() {
	for i := range w.shards {
		s := &w.shards[i]
		s.mu.Lock()
		idle := s.idle
		s.idle, s.closed = nil, true
		s.mu.Unlock()
		for _, next := range idle {
			close(next)
		}
	}
}
