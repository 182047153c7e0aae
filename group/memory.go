package group

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// DefaultTick is the default of MemoryParams.Tick (config key
// groups.memory.tickduration).
const DefaultTick = 30 * time.Second

// MemoryParams configure a [NewMemoryStore]. The zero value works.
type MemoryParams struct {
	// Tick is how often the memory of ended groups is freed, in the course of
	// other operations; [DefaultTick] when zero. A group is gone the moment its
	// ttl has passed, whatever the tick.
	Tick time.Duration
}

// NewMemoryStore returns a Store of this process: other servers do not see its
// groups, and they end with the process.
func NewMemoryStore(p MemoryParams) *MemoryStore {
	if p.Tick <= 0 {
		p.Tick = DefaultTick
	}
	return &MemoryStore{tick: p.Tick, groups: make(map[string]*memoryGroup), swept: time.Now()}
}

// MemoryStore is the Store that [NewMemoryStore] returns.
type MemoryStore struct {
	tick time.Duration

	mu     sync.RWMutex // guards everything below
	groups map[string]*memoryGroup
	swept  time.Time // when ended groups were last removed
}

var _ Store = (*MemoryStore)(nil)

// memoryGroup is one group.
type memoryGroup struct {
	ttl time.Duration // 0: lives on

	mu      sync.Mutex // guards everything below
	gone    bool       // deleted: whoever still holds it must not use it
	end     time.Time
	members map[string]struct{}
	sorted  []string // the members, nil after a change; never changed in place
}

// Create implements [Directory].
func (m *MemoryStore) Create(_ context.Context, name string, ttl time.Duration) error {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(now)
	if old := m.groups[name]; old != nil && old.lives(now) {
		return ErrExists
	}
	m.groups[name] = &memoryGroup{ttl: ttl, end: now.Add(ttl), members: make(map[string]struct{})}
	return nil
}

// Delete implements [Directory].
func (m *MemoryStore) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	g := m.groups[name]
	delete(m.groups, name)
	m.mu.Unlock()
	return g.with(func() error {
		g.gone = true
		return nil
	})
}

// Clear implements [Directory].
func (m *MemoryStore) Clear(_ context.Context, name string) error {
	g := m.group(name)
	return g.with(func() error {
		clear(g.members)
		g.sorted = nil
		return nil
	})
}

// Renew implements [Directory].
func (m *MemoryStore) Renew(_ context.Context, name string) error {
	g := m.group(name)
	return g.with(func() error {
		if g.ttl == 0 {
			return ErrNoTTL
		}
		g.end = time.Now().Add(g.ttl)
		return nil
	})
}

// Add implements [Roster].
func (m *MemoryStore) Add(_ context.Context, name, uid string) error {
	g := m.group(name)
	return g.with(func() error {
		if _, there := g.members[uid]; there {
			return ErrMemberExists
		}
		g.members[uid] = struct{}{}
		g.sorted = nil
		return nil
	})
}

// Remove implements [Roster].
func (m *MemoryStore) Remove(_ context.Context, name, uid string) error {
	g := m.group(name)
	return g.with(func() error {
		if _, there := g.members[uid]; !there {
			return ErrMemberNotFound
		}
		delete(g.members, uid)
		g.sorted = nil
		return nil
	})
}

// Contains implements [Roster].
func (m *MemoryStore) Contains(_ context.Context, name, uid string) (there bool, err error) {
	g := m.group(name)
	err = g.with(func() error {
		_, there = g.members[uid]
		return nil
	})
	return there, err
}

// Count implements [Roster].
func (m *MemoryStore) Count(_ context.Context, name string) (n int, _ error) {
	g := m.group(name)
	_ = g.with(func() error { // a group that is not there has no members
		n = len(g.members)
		return nil
	})
	return n, nil
}

// Members implements [Roster].
func (m *MemoryStore) Members(_ context.Context, name string) (members []string, err error) {
	g := m.group(name)
	err = g.with(func() error {
		if g.sorted == nil {
			g.sorted = slices.AppendSeq(make([]string, 0, len(g.members)), maps.Keys(g.members))
			slices.Sort(g.sorted)
		}
		members = g.sorted
		return nil
	})
	return members, err
}

func (m *MemoryStore) group(name string) *memoryGroup {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.groups[name]
}

// sweep frees ended groups, at most once per tick. m.mu is held.
func (m *MemoryStore) sweep(now time.Time) {
	if now.Sub(m.swept) < m.tick {
		return
	}
	m.swept = now
	maps.DeleteFunc(m.groups, func(_ string, g *memoryGroup) bool { return !g.lives(now) })
}

// with runs fn, which is our own, with the group locked.
func (g *memoryGroup) with(fn func() error) error {
	if g == nil {
		return ErrNotFound
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended(time.Now()) {
		return ErrNotFound
	}
	return fn()
}

func (g *memoryGroup) lives(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.ended(now)
}

// ended: g.mu is held.
func (g *memoryGroup) ended(now time.Time) bool {
	return g.gone || g.ttl > 0 && !now.Before(g.end)
}
