package session

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cereus-game/cereus/errs"
	"github.com/puzpuzpuz/xsync/v4"
	"github.com/sirupsen/logrus"
)

// PoolParams configure a [Pool]. The zero value works.
type PoolParams struct {
	// Replaced is called with a local session that lost its uid to a newer one,
	// after the newer one can be found. It should kick the old one.
	Replaced func(old *Session)
	Policy   Policy
	// CheckUID refuses uids that pass the function CheckUID, before any hook
	// runs. nil refuses none.
	CheckUID func(uid string) error
	Log      logrus.FieldLogger
}

// Pool holds the sessions of one frontend. All methods are safe for concurrent
// use; looking up takes no lock that others hold. Use [NewPool].
type Pool struct {
	replaced func(old *Session)
	policy   Policy
	checkUID func(uid string) error // nil: none of its own
	log      logrus.FieldLogger
	byID     *xsync.Map[int64, *Session]
	byUID    *xsync.Map[string, seats]
	count    atomic.Int64
	lastID   atomic.Int64

	mu    sync.Mutex // guards writing hooks
	hooks atomic.Pointer[poolHooks]
}

// NewPool returns an empty pool.
func NewPool(p PoolParams) *Pool {
	pool := &Pool{
		replaced: p.Replaced, policy: p.Policy, checkUID: p.CheckUID, log: p.Log,
		byID: xsync.NewMap[int64, *Session](), byUID: xsync.NewMap[string, seats](),
	}
	pool.hooks.Store(&poolHooks{})
	return pool
}

// NextID returns 1, 2, 3 and so on: the ids for sessions of this frontend.
func (p *Pool) NextID() int64 { return p.lastID.Add(1) }

// Add puts a session into the pool, which it leaves by itself when it closes.
// [errs.ErrClosed] for one that is closed, [errs.CodeConflict] for one that is
// bound or in a pool already, or whose id is taken.
func (p *Pool) Add(s *Session) error {
	if _, taken := p.byID.LoadOrStore(s.id, s); taken {
		return errs.New(errs.CodeConflict, "session id is already in the pool")
	}
	// Counted before it can leave.
	p.count.Add(1)
	if err := s.enter(p); err != nil {
		p.forget(s, "")
		return err
	}
	return nil
}

// Remove takes a session out of the pool without closing it, and calls the
// unbind hooks if it was bound. Sessions that are not in it are left alone.
func (p *Pool) Remove(s *Session) {
	s.mu.Lock()
	if s.pool != p {
		s.mu.Unlock()
		return
	}
	left := s.leave()
	s.mu.Unlock()
	left.forget(s)
	left.unbound(s.parent, s)
}

// ByID returns the open session with the id.
func (p *Pool) ByID(id int64) (*Session, bool) {
	s, ok := p.byID.Load(id)
	if !ok || s.isClosed() {
		return nil, false
	}
	return s, true
}

// ByUID returns the open session that is bound to uid, of several the newest.
func (p *Pool) ByUID(uid string) (*Session, bool) {
	t, ok := p.byUID.Load(uid)
	if !ok {
		return nil, false
	}
	if !t.newest.isClosed() {
		return t.newest, true
	}
	for _, s := range slices.Backward(t.older) {
		if !s.isClosed() {
			return s, true
		}
	}
	return nil, false
}

// OfUID calls fn for the sessions that are bound to uid, oldest first. Closed
// ones are there for a moment longer.
func (p *Pool) OfUID(uid string, fn func(*Session)) {
	t, _ := p.byUID.Load(uid)
	t.each(fn)
}

// Several reports whether the pool's policy lets a uid have more than one session.
func (p *Pool) Several() bool { return p.policy.several() }

// Device names the device of a session as the pool's policy counts devices; ""
// when it does not, or when the client did not tell.
func (p *Pool) Device(s *Session) string { return p.policy.device(s) }

// Count is the number of sessions.
func (p *Pool) Count() int { return int(p.count.Load()) }

// CountBound is the number of users who have a session.
func (p *Pool) CountBound() int { return p.byUID.Size() }

// Each calls fn for the sessions until fn returns false. Sessions that come or
// go meanwhile may be seen or not; none is seen twice.
func (p *Pool) Each(fn func(*Session) bool) {
	p.byID.Range(func(_ int64, s *Session) bool { return s.isClosed() || fn(s) })
}

// EachBound calls fn for the sessions that can be found by a uid, as Each does.
func (p *Pool) EachBound(fn func(uid string, s *Session)) {
	p.byUID.Range(func(uid string, t seats) bool {
		t.each(func(s *Session) { fn(uid, s) })
		return true
	})
}

// forget clears the maps of what is still the session's own.
func (p *Pool) forget(s *Session, uid string) {
	if deleteOwn(p.byID, s.id, s) {
		p.count.Add(-1)
	}
	if uid != "" {
		p.unseat(uid, s)
	}
}

// unseat takes s out of the index by uid, if it is still there.
func (p *Pool) unseat(uid string, s *Session) {
	p.byUID.Compute(uid, func(was seats, _ bool) (seats, xsync.ComputeOp) {
		now, changed := was.without(s)
		switch {
		case !changed:
			return was, xsync.CancelOp
		case now.newest == nil:
			return now, xsync.DeleteOp
		}
		return now, xsync.UpdateOp
	})
}

// deleteOwn removes the id if it still leads to s, and reports that.
func deleteOwn(m *xsync.Map[int64, *Session], id int64, s *Session) (gone bool) {
	m.Compute(id, func(old *Session, loaded bool) (*Session, xsync.ComputeOp) {
		gone = loaded && old == s
		if gone {
			return nil, xsync.DeleteOp
		}
		return old, xsync.CancelOp
	})
	return gone
}

func (s *Session) enter(p *Pool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errs.ErrClosed
	}
	if s.pool != nil || s.binding || s.uid != "" {
		return errs.New(errs.CodeConflict, "session is bound or in a pool already")
	}
	s.pool = p
	return nil
}
