package lifecycle

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
)

const (
	mostWorkerShards = 8
	keptWorkers      = 128     // idle ones of all shards together
	keptWork         = 4 << 10 // room that an empty queue keeps
)

// Workers runs short pieces of work on goroutines of a Group that are used
// again: such a goroutine has the stack that the work needs, while a new one
// has to grow it, which costs more than a message does. Up to 128 goroutines
// stay idle until the group is stopped.
//
// Work never waits for other work to end. But a goroutine that is done takes
// what has come meanwhile, before the one that was woken for it gets to run: of
// a burst of work that does not block, most is done without a switch.
type Workers[T any] struct {
	group  *Group
	name   string
	run    func(context.Context, T)
	shards []workerShard[T]
}

// workerShard is a queue and goroutines that serve it. While work is queued,
// somebody is waking: a goroutine that was woken, or started, and will look at
// the queue next. When it takes something and leaves something, it has another
// one woken first.
type workerShard[T any] struct {
	mu     sync.Mutex // guards the fields below, for a few instructions
	queue  []T
	head   int // of queue
	waking bool
	idle   []chan struct{} // of goroutines that wait, the latest on top; each has room for one
	closed bool
	_      [40]byte // a cache line of its own
}

// NewWorkers returns workers of group that do run. name is a constant, as for
// Group.Go.
func NewWorkers[T any](group *Group, name string, run func(context.Context, T)) *Workers[T] {
	w := &Workers[T]{group: group, name: name, run: run}
	w.shards = make([]workerShard[T], min(runtime.GOMAXPROCS(0), mostWorkerShards))
	context.AfterFunc(group.Context(), w.dismiss)
	return w
}

// Go does work on a goroutine that waits for some, else on a new one. It
// reports false, and does nothing, in a group that is stopping.
func (w *Workers[T]) Go(work T) bool {
	s := &w.shards[rand.Uint32()%uint32(len(w.shards))]
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.push(work)
	if s.waking {
		s.mu.Unlock()
		return true
	}
	idle := s.popIdle()
	s.waking = idle != nil || w.group.Go(w.name, func(ctx context.Context) { w.serve(ctx, s) })
	if !s.waking {
		s.unpush()
		s.mu.Unlock()
		return false
	}
	s.mu.Unlock()
	if idle != nil {
		idle <- struct{}{}
	}
	return true
}

// serve does work until there is none and enough others wait for some.
func (w *Workers[T]) serve(ctx context.Context, s *workerShard[T]) {
	wake := make(chan struct{}, 1)
	woken := true
	for {
		work, found := w.next(s, woken)
		if found {
			w.run(ctx, work) // may end this goroutine
			woken = false
			continue
		}
		if !s.await(wake) {
			return
		}
		if _, woken = <-wake; !woken {
			return
		}
	}
}

// next takes work, and sees to it that somebody looks at what it leaves. woken
// says that its caller is the one who was waking.
func (w *Workers[T]) next(s *workerShard[T], woken bool) (work T, found bool) {
	s.mu.Lock()
	if woken {
		s.waking = false
	}
	if s.head == len(s.queue) {
		s.mu.Unlock()
		return work, false
	}
	work = s.pop()
	var idle chan struct{}
	if !s.waking && s.head < len(s.queue) {
		s.waking = true
		if idle = s.popIdle(); idle == nil {
			w.group.another(w.name, func(ctx context.Context) { w.serve(ctx, s) })
		}
	}
	s.mu.Unlock()
	if idle != nil {
		idle <- struct{}{}
	}
	return work, true
}

// await lists wake among those who wait for work, unless enough do. When work
// came since next found none, it is as if woken at once.
func (s *workerShard[T]) await(wake chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head < len(s.queue) && !s.waking {
		s.waking = true
		wake <- struct{}{}
		return true
	}
	if s.closed || len(s.idle) >= keptWorkers/mostWorkerShards {
		return false
	}
	s.idle = append(s.idle, wake)
	return true
}

func (s *workerShard[T]) push(work T) {
	if s.head > len(s.queue)/2 && len(s.queue) == cap(s.queue) { // rather than grow for ever
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
	s.queue = append(s.queue, work)
}

// unpush takes back what was pushed last.
func (s *workerShard[T]) unpush() {
	var none T
	s.queue[len(s.queue)-1] = none
	s.queue = s.queue[:len(s.queue)-1]
}

func (s *workerShard[T]) pop() T {
	var none T
	work := s.queue[s.head]
	s.queue[s.head] = none
	s.head++
	if s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
		if cap(s.queue) > keptWork {
			s.queue = nil
		}
	}
	return work
}

func (s *workerShard[T]) popIdle() chan struct{} {
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	top := s.idle[n-1]
	s.idle = s.idle[:n-1]
	return top
}

// dismiss ends the idle goroutines; the others end after their work.
func (w *Workers[T]) dismiss() {
	for i := range w.shards {
		s := &w.shards[i]
		s.mu.Lock()
		idle := s.idle
		s.idle, s.closed = nil, true
		s.mu.Unlock()
		for _, wake := range idle {
			close(wake)
		}
	}
}
