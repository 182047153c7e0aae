package cluster

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// feed holds the current snapshot and has listeners hear how it came to be.
type feed struct {
	current atomic.Pointer[snapshot]
	log     logrus.FieldLogger
	metrics DiscoveryMetrics

	// mu makes a new snapshot and its place in the listeners' queues one step, and
	// guards the fields below. Nothing of the user's runs under it.
	mu        sync.Mutex
	listeners []*subscriber
	group     *lifecycle.Group // nil until started
}

func newFeed(log logrus.FieldLogger, metrics DiscoveryMetrics) *feed {
	f := &feed{log: log, metrics: metrics}
	f.current.Store(newSnapshot())
	return f
}

// start has the listeners run in group from now on.
func (f *feed) start(group *lifecycle.Group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.group = group
	for _, s := range f.listeners {
		f.run(s)
	}
}

// run starts a subscriber's goroutine; f.mu is held.
func (f *feed) run(s *subscriber) {
	f.group.Go("discovery.listener", s.deliver)
}

func (f *feed) add(l Listener) {
	s := &subscriber{listener: l, wake: make(chan struct{}, 1), log: f.log, metrics: f.metrics}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, known := range f.current.Load().all {
		s.queue = append(s.queue, change{id: known.ID, after: known})
	}
	s.signal()
	f.listeners = append(f.listeners, s)
	if f.group != nil {
		f.run(s)
	}
}

// publish makes next the current snapshot and queues the changes for listeners.
func (f *feed) publish(next *snapshot, changes []change) {
	f.mu.Lock()
	f.current.Store(next)
	for _, s := range f.listeners {
		s.push(changes)
	}
	f.mu.Unlock()
	f.metrics.ServersPresent(len(next.all))
}

// subscriber is one listener and what it has yet to hear.
type subscriber struct {
	listener Listener
	log      logrus.FieldLogger
	metrics  DiscoveryMetrics
	wake     chan struct{}

	mu    sync.Mutex // guards queue
	queue []change
}

func (s *subscriber) push(changes []change) {
	s.mu.Lock()
	s.queue = append(s.queue, changes...)
	s.mu.Unlock()
	s.signal()
}

func (s *subscriber) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscriber) take() []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := s.queue
	s.queue = nil
	return changes
}

func (s *subscriber) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for _, c := range s.take() {
			if ctx.Err() != nil {
				return
			}
			s.tell(c)
		}
	}
}

// tell calls the listener for one change. A server that came back as another run
// is a leave and a join, and each of the two survives a panic in the other.
func (s *subscriber) tell(c change) {
	was, is := present(c.before), present(c.after)
	switch {
	case was && is && c.before.Epoch == c.after.Epoch && c.before.Type == c.after.Type:
		if u, ok := s.listener.(ServerUpdater); ok {
			s.call(func() { u.UpdateServer(c.before, c.after) })
		}
		return
	case was && is:
		s.call(func() { s.listener.RemoveServer(c.before.withState(StateSuspect)) })
	case was:
		s.call(func() { s.listener.RemoveServer(c.after) })
	}
	if is {
		s.call(func() { s.listener.AddServer(c.after) })
	}
}

func (s *subscriber) call(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			s.metrics.ListenerPanicked()
			s.log.WithField("panic", r).WithField("stack", string(debug.Stack())).Error("listener of service discovery panicked")
		}
	}()
	fn()
}
