package router

import (
	"context"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// StickyParams are what [Sticky] tells to whom.
type StickyParams struct {
	// Moved hears that a session goes to another server than before, because the
	// one that it met is not among the servers any more; nil: nobody does. It is
	// called once per move, before the first call goes there, on the goroutine of
	// that call: it must not block. If it panics, that call fails. Other calls of the
	// session that are routed in the same moment do not wait for it.
	Moved func(Move)
}

// Move is a session's change from one server to another.
type Move struct {
	Frontend   string // its id
	SessionID  int64  // on the frontend
	UID        string // "" when it is unbound
	ServerType string
	From, To   string // ids; the same when the server was restarted
}

// Sticky keeps each session on the server that it first met, among those of a
// type, as long as that is among the servers and is the same run of it: whoever
// comes or goes beside it, and also while weights change or it becomes busy. Which
// one it meets, and which after that, is chosen by the policy next (nil:
// [Random]). Calls that are made for no session go to next. Sticky belongs
// outermost: what it is given to, such as [Zone], may ask it twice.
//
// A server that drains is not among the servers: it is left at the next call.
//
// Each process remembers what it chose itself: a session's messages stay
// together, because its frontend forwards all of them, and so do the calls that
// one backend makes for it, but not necessarily both on the same server. A server
// that all should agree upon is what [Rendezvous] is for.
//
// A session of this server is remembered until [Router.Forget]. Sessions of
// others, whose end is not heard of here, are forgotten an hour after their last
// use or somewhat later. At most half a million are remembered. A Func that hands
// on to Sticky passes on the Call that it got, or Forget does not reach it.
func Sticky(next Func, p StickyParams) Func {
	return (&sticky{
		next: orRandom(next), moved: p.Moved, byID: newPerList(indexByID), alone: newMeetings(maxMeetings),
	}).choose
}

type sticky struct {
	next  Func
	moved func(Move)
	byID  *perList[map[string]*cluster.Server]
	alone *meetings // when no Router asks
}

func indexByID(list []*cluster.Server) map[string]*cluster.Server {
	byID := make(map[string]*cluster.Server, len(list))
	for _, s := range list {
		byID[s.ID] = s
	}
	return byID
}

func (s *sticky) choose(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	switch {
	case len(servers) == 0:
		return nil, errs.ErrNoServer
	case !c.ofSession():
		return s.next(ctx, c, servers)
	}
	remembered := c.meetings
	if remembered == nil {
		remembered = s.alone
	}
	m, byID := remembered.of(&c), s.byID.of(servers)
	if known, _, _ := s.met(m, &c, byID); known != nil {
		return known, nil
	}
	chosen, err := s.next(ctx, c, servers)
	if err != nil || chosen == nil {
		return nil, err
	}
	present, ok := byID[chosen.ID] // chosen may be an older value
	if !ok {
		return chosen, nil // which is the Router's to refuse
	}
	return s.meet(m, &c, byID, present), nil
}

// met is the server that the session met, if that is still there, and where that
// is written.
func (s *sticky) met(m *meeting, c *Call, byID map[string]*cluster.Server) (*cluster.Server, *place, *places) {
	all := m.places.Load()
	p := all.of(s, c.ServerType)
	if p == nil {
		return nil, nil, all
	}
	if known, ok := byID[p.id]; ok && known.Nonce == p.nonce {
		return known, p, all
	}
	return nil, p, all
}

// meet writes down that the session met the server, unless another call was
// quicker; then that one's server is the one.
func (s *sticky) meet(m *meeting, c *Call, byID map[string]*cluster.Server, chosen *cluster.Server) *cluster.Server {
	for {
		known, before, all := s.met(m, c, byID)
		if known != nil {
			return known
		}
		now := place{s, c.ServerType, chosen.ID, chosen.Nonce}
		if !m.places.CompareAndSwap(all, all.with(now)) {
			continue
		}
		if before != nil && s.moved != nil {
			s.moved(Move{c.Frontend, c.SessionID, c.UID, c.ServerType, before.id, chosen.ID})
		}
		return chosen
	}
}
