package router

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// How long a session is remembered after its last use.
const (
	// foreignAge is for sessions of other frontends.
	foreignAge = time.Hour
	// ownAge is for those of this one, in case that a call came after Forget.
	ownAge = 24 * time.Hour
)

// maxMeetings is the most sessions that are remembered.
const maxMeetings = 1 << 19

// meetings are the servers that sessions met. Nothing runs for them: whoever
// adds a session looks after two others.
type meetings struct {
	bySession *xsync.Map[sessionKey, *meeting]
	start     time.Time // of the clock
	limit     int

	mu    sync.Mutex // guards queue
	queue *list.List // of *meeting, in the order in which to look after them
}

type sessionKey struct {
	frontend string
	id       int64
}

// meeting is what one session met.
type meeting struct {
	key    sessionKey
	own    atomic.Bool  // the session is of this frontend: its messages are forwarded here
	used   atomic.Int64 // the last time, on the clock
	places atomic.Pointer[places]
}

func newMeetings(limit int) *meetings {
	return &meetings{bySession: xsync.NewMap[sessionKey, *meeting](), start: time.Now(), limit: limit, queue: list.New()}
}

func (m *meetings) now() int64 { return int64(time.Since(m.start)) }

// of is the meeting of the call's session, which is a new one if need be.
func (m *meetings) of(c *Call) *meeting {
	key := sessionKey{c.Frontend, c.SessionID}
	met, ok := m.bySession.Load(key)
	if !ok {
		met = m.add(key)
	}
	if c.Kind == ToHandler && !met.own.Load() {
		met.own.Store(true)
	}
	met.used.Store(m.now())
	return met
}

func (m *meetings) add(key sessionKey) *meeting {
	made := &meeting{key: key}
	made.used.Store(m.now())
	met, there := m.bySession.LoadOrStore(key, made)
	if there {
		return met
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue.PushBack(made)
	m.tend()
	m.tend()
	return made
}

// tend looks after the first of the queue: it is over, or goes to the end. As
// two are looked after when one comes, those that were forgotten meanwhile never
// are much more than those that are there.
func (m *meetings) tend() {
	first := m.queue.Front()
	if first == nil {
		return
	}
	met := first.Value.(*meeting)
	if m.queue.Len() > m.limit || met.unused(m.now()) {
		m.remove(met)
	}
	if there, ok := m.bySession.Load(met.key); ok && there == met {
		m.queue.MoveToBack(first)
	} else {
		m.queue.Remove(first)
	}
}

// remove deletes this meeting, and not a later one of the same session.
func (m *meetings) remove(met *meeting) {
	m.bySession.Compute(met.key, func(there *meeting, _ bool) (*meeting, xsync.ComputeOp) {
		if there == met {
			return nil, xsync.DeleteOp
		}
		return nil, xsync.CancelOp
	})
}

func (m *meetings) forget(frontend string, id int64) { m.bySession.Delete(sessionKey{frontend, id}) }

func (met *meeting) unused(now int64) bool {
	age := foreignAge
	if met.own.Load() {
		age = ownAge
	}
	return now-met.used.Load() >= int64(age)
}

// places are where a session goes, by policy and server type. They are not
// changed but replaced.
type places []place

type place struct {
	policy     *sticky
	serverType string
	id, nonce  string // of the server
}

func (p place) same(policy *sticky, serverType string) bool {
	return p.policy == policy && p.serverType == serverType
}

// of is where the session goes, nil when it met nobody yet.
func (all *places) of(policy *sticky, serverType string) *place {
	if all == nil {
		return nil
	}
	for i := range *all {
		if (*all)[i].same(policy, serverType) {
			return &(*all)[i]
		}
	}
	return nil
}

// with is the places with one more, or with another in place of what it was.
func (all *places) with(p place) *places {
	var next places
	if all != nil {
		next = slices.DeleteFunc(slices.Clone(*all), func(old place) bool { return old.same(p.policy, p.serverType) })
	}
	next = append(next, p)
	return &next
}
