package group

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// memoryGroup is one group.
type memoryGroup struct {
	name string
	ttl  time.Duration // 0: lives on

	mu      sync.Mutex  // guards everything below
	sink    *memorySink // nil before the store was started
	gone    bool        // ended: whoever still holds it must not use it
	end     time.Time
	members map[string]memoryMember
	holds   int64
	sorted  []string // the members, nil after a change; never changed in place
	list    []Member // the same
}

type memoryMember struct {
	Member
	hold int64
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

// ended sees to it that a group whose ttl has passed is gone. g.mu is held, here
// and in all that follows.
func (g *memoryGroup) ended(now time.Time) bool {
	if !g.gone && g.ttl > 0 && !now.Before(g.end) {
		g.finish()
	}
	return g.gone
}

// finish ends the group.
func (g *memoryGroup) finish() {
	g.gone = true
	g.removeAll(ReasonGroupEnded)
}

func (g *memoryGroup) add(m Member) error {
	old, there := g.members[m.UID]
	if there && (!old.held() || !m.held()) {
		return ErrMemberExists
	}
	now := memoryMember{Member: m}
	if there {
		now.Attributes = old.Attributes
		g.sink.released(g.name, old)
	}
	g.holds++
	now.hold = g.holds
	g.members[m.UID] = now
	g.sorted, g.list = nil, nil
	g.sink.held(g.name, now)
	if there {
		return ErrMemberExists
	}
	g.sink.tell(Change{Kind: ChangeJoined, Group: g.name, Member: m})
	return nil
}

func (g *memoryGroup) remove(uid string, why Reason) {
	m := g.members[uid]
	delete(g.members, uid)
	g.sorted, g.list = nil, nil
	g.sink.released(g.name, m)
	g.sink.tell(Change{Kind: ChangeLeft, Group: g.name, Member: m.Member, Reason: why})
}

func (g *memoryGroup) removeAll(why Reason) {
	for _, uid := range g.uids() {
		g.remove(uid, why)
	}
}

func (g *memoryGroup) uids() []string {
	if g.sorted == nil {
		g.sorted = slices.AppendSeq(make([]string, 0, len(g.members)), maps.Keys(g.members))
		slices.Sort(g.sorted)
	}
	return g.sorted
}

func (g *memoryGroup) listed() []Member {
	if g.list == nil {
		g.list = make([]Member, 0, len(g.members))
		for _, uid := range g.uids() {
			g.list = append(g.list, g.members[uid].Member)
		}
	}
	return g.list
}
