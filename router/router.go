package router

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// Router knows the Func of every server type. Use [New]. All methods are safe
// for concurrent use, Pick takes no lock.
type Router struct {
	mu       sync.Mutex // guards changing funcs
	funcs    atomic.Pointer[funcs]
	random   Func // for what has no Func
	byKey    atomic.Pointer[rendezvous]
	meetings *meetings // of Sticky
	members  *perList[map[string]*cluster.Server]
}

// New returns a Router that chooses as [Random] does for every type.
func New() *Router {
	r := &Router{
		random: Random(), meetings: newMeetings(maxMeetings), members: newPerList(indexByID),
	}
	r.funcs.Store(&funcs{})
	r.BoundKeys(Bound{})
	return r
}

// funcs are what Set and SetDefault have set. They are not changed but replaced.
type funcs struct {
	of       map[funcKey]Func
	fallback Func // nil: random
}

type funcKey struct {
	serverType string
	kind       Kind
}

// Set makes f choose for calls of one kind to one server type, of the zero kind
// for both; nil brings the default back. Calls that are being routed may still
// use what was set before.
func (r *Router) Set(serverType string, kind Kind, f Func) {
	kinds := []Kind{kind}
	if kind == 0 {
		kinds = []Kind{ToHandler, ToRemote}
	}
	r.change(func(next *funcs) {
		for _, kind := range kinds {
			if f == nil {
				delete(next.of, funcKey{serverType, kind})
			} else {
				next.of[funcKey{serverType, kind}] = f
			}
		}
	})
}

// SetDefault makes f choose for every type and kind for which nothing is Set;
// nil brings [Random] back.
func (r *Router) SetDefault(f Func) { r.change(func(next *funcs) { next.fallback = f }) }

func (r *Router) change(change func(next *funcs)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.funcs.Load()
	next := &funcs{of: make(map[funcKey]Func, len(now.of)+1), fallback: now.fallback}
	maps.Copy(next.of, now.of)
	change(next)
	r.funcs.Store(next)
}

// BoundKeys limits how much of the load PickByKey may give to one server. At
// first it is not limited.
func (r *Router) BoundKeys(b Bound) { r.byKey.Store(newRendezvous(b)) }

// Forget drops what [Sticky] remembers of a session: it has ended. Whoever runs
// a frontend calls it for every session of its own.
func (r *Router) Forget(frontend string, sessionID int64) { r.meetings.forget(frontend, sessionID) }

// Pick chooses one of servers for the call. Without any the error is
// [errs.ErrNoServer]. A Func that panics gives
// [errs.CodeInternal]; one that returns no server, or a server that is none of
// servers, gives [errs.CodeUnavailable]: a list holds all that may get the
// call, and what is not in it is going away or has just failed. The result is
// always the value from servers.
//
// servers must not be changed afterwards; discovery's lists never are. Pick
// allocates nothing, and costs the same for any number of servers, as long as it
// is given the same slices again and the Func does no more than that.
func (r *Router) Pick(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	set := r.funcs.Load()
	f, ok := set.of[funcKey{c.ServerType, c.Kind}]
	switch {
	case ok:
		return r.ask(ctx, f, c, servers)
	case set.fallback != nil:
		return r.ask(ctx, set.fallback, c, servers)
	default:
		return r.random(ctx, c, servers)
	}
}

// PickByKey chooses as [Rendezvous] does, whatever is set for the type: for a
// call whose caller gave it a key (cereus.WithKey). See BoundKeys.
func (r *Router) PickByKey(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	return call(ctx, r.byKey.Load().choose, c, servers)
}

// ask has f choose, and looks at what it chose.
func (r *Router) ask(ctx context.Context, f Func, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	c.meetings = r.meetings
	chosen, err := call(ctx, f, c, servers)
	switch {
	case err != nil:
		return nil, err
	case chosen == nil:
		return nil, errs.New(errs.CodeUnavailable, "the router of the server type returned no server").
			With("type", c.ServerType)
	}
	if s, ok := r.members.of(servers)[chosen.ID]; ok {
		return s, nil
	}
	return nil, errs.New(errs.CodeUnavailable, "the router of the server type returned a server that is not available").
		With("type", c.ServerType).With("server", chosen.ID)
}

// call asks f, and turns its panic into an error.
func call(ctx context.Context, f Func, c Call, servers []*cluster.Server) (s *cluster.Server, err error) {
	defer func() {
		if v := recover(); v != nil {
			s, err = nil, errs.New(errs.CodeInternal, fmt.Sprint(v))
		}
	}()
	return f(ctx, c, servers)
}
