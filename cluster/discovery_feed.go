package cluster

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// feed holds the current snapshot and tells how it came to be: to listeners, and
// to whoever reads the history.
type feed struct {
	current atomic.Pointer[Snapshot]
	log     logrus.FieldLogger
	metrics DiscoveryMetrics

	// mu makes a new snapshot, its place in the history and in the listeners' queues
	// one step, and guards the fields below. Nothing of the user's runs under it.
	mu        sync.Mutex
	history   history
	more      chan struct{} // closed when there is another snapshot; nil when nobody waits
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
	s.push(f.current.Load().asEvents())
	f.listeners = append(f.listeners, s)
	if f.group != nil {
		f.run(s)
	}
}

// begin has the history start anew with a view of a revision.
func (f *feed) begin(revision int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history.reset(revision)
	f.spread(nil)
}

// leap tells the history that it does not say what was within l.
func (f *feed) leap(l leap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history.leap(l)
}

// bridge tells the history that it may not say what was within l, where a listing
// found no change: that is so unless the watch tells of one.
func (f *feed) bridge(l leap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history.bridge(l)
}

// told says that the watch has told everything up to a revision.
func (f *feed) told(revision int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.history.told(revision) {
		f.spread(nil)
	}
}

// untold says that there is no watch any more that tells what a listing may have left out.
func (f *feed) untold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.history.pending == (leap{}) {
		return
	}
	f.history.leap(f.history.pending)
	f.history.pending = leap{}
	f.spread(nil)
}

// waits reports whether the watch has to tell something.
func (f *feed) waits() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.history.pending != leap{}
}

// publish makes next the current snapshot and has everybody hear the events,
// which it gives their places.
func (f *feed) publish(next *Snapshot, events []Event) {
	f.mu.Lock()
	for n := range events {
		f.history.add(&events[n])
	}
	next.seq = f.history.last
	f.current.Store(next)
	f.spread(events)
	f.mu.Unlock()
	f.metrics.ServersPresent(len(next.all))
}

// spread has everybody hear the events; f.mu is held.
func (f *feed) spread(events []Event) {
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
	if len(events) == 0 {
		return
	}
	for _, s := range f.listeners {
		s.push(events)
	}
}

// next is the current snapshot and a channel that is closed when there is another.
func (f *feed) next() (*Snapshot, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current.Load(), f.awaitMore()
}

// awaitMore is the channel that spread closes; f.mu is held.
func (f *feed) awaitMore() <-chan struct{} {
	if f.more == nil {
		f.more = make(chan struct{})
	}
	return f.more
}

// subscriber is one listener and what it has yet to hear.
type subscriber struct {
	listener Listener
	log      logrus.FieldLogger
	metrics  DiscoveryMetrics
	wake     chan struct{}

	mu    sync.Mutex // guards queue
	queue []Event
}

func (s *subscriber) push(events []Event) {
	s.mu.Lock()
	s.queue = append(s.queue, events...)
	s.mu.Unlock()
	s.signal()
}

func (s *subscriber) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscriber) take() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.queue
	s.queue = nil
	return events
}

func (s *subscriber) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for _, e := range s.take() {
			if ctx.Err() != nil {
				return
			}
			s.tell(e)
		}
	}
}

// tell calls the listener for one event.
func (s *subscriber) tell(e Event) {
	switch e.Kind {
	case EventUp:
		s.call(func() { s.listener.AddServer(e) })
	case EventDown:
		s.call(func() { s.listener.RemoveServer(e) })
	case EventUpdate:
		if u, ok := s.listener.(ServerUpdater); ok {
			s.call(func() { u.UpdateServer(e) })
		}
	case EventLeader:
		if l, ok := s.listener.(LeaderListener); ok {
			s.call(func() { l.LeaderChanged(e) })
		}
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
