package group

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
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
	// Self is this server: the only one that can hold members, unless Alive is set.
	Self Holder
	// Alive reports whether another server is there and can hold members. Whoever
	// sets it calls ServerGone when one is not any more, after Alive says so.
	Alive func(h Holder) bool
}

// NewMemoryStore returns a Store of this process: other servers do not see its
// groups, and they end with the process.
func NewMemoryStore(p MemoryParams) *MemoryStore {
	if p.Tick <= 0 {
		p.Tick = DefaultTick
	}
	return &MemoryStore{
		params: p, groups: make(map[string]*memoryGroup), swept: time.Now(), wake: make(chan struct{}, 1),
	}
}

// MemoryStore is the Store that [NewMemoryStore] returns.
type MemoryStore struct {
	params MemoryParams
	wake   chan struct{} // there is a group that may end first; room for one

	mu     sync.RWMutex // guards everything below
	groups map[string]*memoryGroup
	due    time.Time        // when the clock looks again; zero: it looks now, or only when woken
	swept  time.Time        // when ended groups were last removed
	work   *lifecycle.Group // nil until started
	sink   *memorySink      // nil until started
}

var _ Store = (*MemoryStore)(nil)

// Create implements [Directory].
func (m *MemoryStore) Create(_ context.Context, name string, ttl time.Duration) error {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(now)
	if old := m.groups[name]; old != nil && old.lives(now) {
		return ErrExists
	}
	g := &memoryGroup{
		name: name, sink: m.sink, ttl: ttl, end: now.Add(ttl), members: make(map[string]memoryMember),
	}
	m.groups[name] = g
	if ttl > 0 && (m.due.IsZero() || g.end.Before(m.due)) {
		signal(m.wake)
	}
	return nil
}

// Delete implements [Directory].
func (m *MemoryStore) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock() // the next group of the name begins when the end of this one was told
	g := m.groups[name]
	delete(m.groups, name)
	return g.with(func() error {
		g.finish()
		return nil
	})
}

// Clear implements [Directory].
func (m *MemoryStore) Clear(_ context.Context, name string) error {
	g := m.group(name)
	return g.with(func() error {
		g.removeAll(ReasonLeft)
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
func (m *MemoryStore) Add(_ context.Context, name string, member Member) error {
	if member.UntilUnbind && member.Holder != m.params.Self {
		return ErrNotHere
	}
	g := m.group(name)
	return g.with(func() error {
		// Under the group's lock: a ServerGone that comes later finds the member, and
		// before one that came earlier the server was not alive.
		if !m.alive(member.Holder) {
			return ErrServerGone
		}
		return g.add(member)
	})
}

// alive reports whether h can hold members.
func (m *MemoryStore) alive(h Holder) bool {
	return h == Holder{} || h == m.params.Self || m.params.Alive != nil && m.params.Alive(h)
}

// Remove implements [Roster].
func (m *MemoryStore) Remove(_ context.Context, name, uid string) error {
	g := m.group(name)
	return g.with(func() error {
		if _, there := g.members[uid]; !there {
			return ErrMemberNotFound
		}
		g.remove(uid, ReasonLeft)
		return nil
	})
}

// Leave implements [Profiles].
func (m *MemoryStore) Leave(_ context.Context, name, uid string, hold int64) error {
	g := m.group(name)
	_ = g.with(func() error { // a group that is not there has no members
		if member, there := g.members[uid]; there && member.hold == hold {
			g.remove(uid, ReasonLeft)
		}
		return nil
	})
	return nil
}

// ServerGone ends the memberships that a server held.
func (m *MemoryStore) ServerGone(h Holder) {
	if h == (Holder{}) {
		return
	}
	for _, g := range m.all() {
		_ = g.with(func() error { // a group that ended has no members
			for uid, member := range g.members {
				if member.Holder == h {
					g.remove(uid, ReasonServerGone)
				}
			}
			return nil
		})
	}
}

// SetAttributes implements [Profiles].
func (m *MemoryStore) SetAttributes(_ context.Context, name, uid string, attributes map[string]string) error {
	g := m.group(name)
	return g.with(func() error {
		member, there := g.members[uid]
		if !there {
			return ErrMemberNotFound
		}
		member.Attributes = attributes
		g.members[uid] = member
		g.list = nil
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
		members = g.uids()
		return nil
	})
	return members, err
}

// List implements [Profiles].
func (m *MemoryStore) List(_ context.Context, name string) (members []Member, err error) {
	g := m.group(name)
	err = g.with(func() error {
		members = g.listed()
		return nil
	})
	return members, err
}

func (m *MemoryStore) group(name string) *memoryGroup {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.groups[name]
}

func (m *MemoryStore) all() []*memoryGroup {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]*memoryGroup, 0, len(m.groups))
	for _, g := range m.groups {
		all = append(all, g)
	}
	return all
}

// sweep frees ended groups, at most once per tick. m.mu is held.
func (m *MemoryStore) sweep(now time.Time) {
	if now.Sub(m.swept) < m.params.Tick {
		return
	}
	m.swept = now
	maps.DeleteFunc(m.groups, func(_ string, g *memoryGroup) bool { return !g.lives(now) })
}
