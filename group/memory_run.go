package group

import (
	"context"
	"sync"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// memorySink is a Sink that is called from many goroutines.
type memorySink struct {
	mu   sync.Mutex // one at a time
	sink Sink
}

func (s *memorySink) tell(c Change) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sink.Change(c)
	}
}

func (s *memorySink) held(name string, m memoryMember) {
	if s != nil && m.UntilUnbind {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sink.Held(name, m.UID, m.hold)
	}
}

func (s *memorySink) released(name string, m memoryMember) {
	if s != nil && m.UntilUnbind {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sink.Released(name, m.UID)
	}
}

// Start implements [Runner].
func (m *MemoryStore) Start(ctx context.Context, sink Sink) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sink = &memorySink{sink: sink}
	for _, g := range m.groups {
		g.mu.Lock()
		g.sink = m.sink
		g.mu.Unlock()
	}
	m.work = lifecycle.NewGroup(context.WithoutCancel(ctx))
	m.work.Go("groups.clock", m.clock)
	return nil
}

// Follow implements [Runner]: changes are always told.
func (m *MemoryStore) Follow(context.Context) error { return nil }

// Stop implements [Runner].
func (m *MemoryStore) Stop(ctx context.Context) error {
	m.mu.Lock()
	work := m.work
	m.mu.Unlock()
	if work == nil {
		return nil
	}
	m.ServerGone(m.params.Self)
	return work.Stop(ctx)
}

// clock ends groups when their time has come, whether or not anybody looks.
func (m *MemoryStore) clock(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
		m.looksAt(time.Time{})
		if next, ok := m.endGroups(); ok {
			m.looksAt(next)
			timer.Reset(time.Until(next))
		}
	}
}

// looksAt notes when the clock looks next, so that only a group that ends before
// that wakes it: it looks at all of them.
func (m *MemoryStore) looksAt(due time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.due = due
}

// endGroups ends what is due and returns when the next group is.
func (m *MemoryStore) endGroups() (next time.Time, ok bool) {
	now := time.Now()
	for _, g := range m.all() {
		g.mu.Lock()
		if g.ttl > 0 && !g.ended(now) && (!ok || g.end.Before(next)) {
			next, ok = g.end, true
		}
		g.mu.Unlock()
	}
	return next, ok
}
