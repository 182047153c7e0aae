package router

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// Router knows the Func of every server type. Use [New]. All methods are safe
// for concurrent use, Pick takes no lock.
type Router struct {
	mu     sync.Mutex // guards changing funcs
	funcs  atomic.Pointer[map[key]Func]
	random *random // for what has no Func
}

type key struct {
	serverType string
	kind       Kind
}

// New returns a Router that chooses as [Random] does for every type.
func New() *Router {
	r := &Router{random: newRandom()}
	r.funcs.Store(&map[key]Func{})
	return r
}

// Set makes f choose for calls of one kind to one server type; nil brings the
// random choice back. Calls that are being routed may still use what was set
// before.
func (r *Router) Set(serverType string, kind Kind, f Func) {
	r.mu.Lock()
	defer r.mu.Unlock()
	funcs := maps.Clone(*r.funcs.Load())
	if f == nil {
		delete(funcs, key{serverType, kind})
	} else {
		funcs[key{serverType, kind}] = f
	}
	r.funcs.Store(&funcs)
}

// Pick chooses one of servers for the call. Without any that is not excluded
// the error is [errs.ErrNoServer]. A custom Func that panics gives
// [errs.CodeInternal]; one that returns no server, or a server that is none of
// servers, gives [errs.CodeUnavailable]: a list holds all that may get the
// call, and what is not in it is going away or has just failed. The result is
// always the value from servers.
func (r *Router) Pick(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	f, custom := (*r.funcs.Load())[key{c.ServerType, c.Kind}]
	if !custom {
		return r.random.choose(ctx, c, servers)
	}
	servers = without(servers, c.Exclude)
	if len(servers) == 0 {
		return nil, errs.ErrNoServer
	}
	chosen, err := call(ctx, f, c, servers)
	if err != nil {
		return nil, err
	}
	return among(chosen, c, servers)
}

// without returns the servers that are not excluded; the same slice when none is.
func without(servers []*cluster.Server, excluded func(string) bool) []*cluster.Server {
	if excluded == nil {
		return servers
	}
	gone := func(s *cluster.Server) bool { return excluded(s.ID) }
	if !slices.ContainsFunc(servers, gone) {
		return servers
	}
	return slices.DeleteFunc(slices.Clone(servers), gone)
}

func call(ctx context.Context, f Func, c Call, servers []*cluster.Server) (s *cluster.Server, err error) {
	defer func() {
		if v := recover(); v != nil {
			s, err = nil, errs.New(errs.CodeInternal, fmt.Sprint(v))
		}
	}()
	return f(ctx, c, servers)
}

// among returns the server of the list that was meant.
func among(chosen *cluster.Server, c Call, servers []*cluster.Server) (*cluster.Server, error) {
	if chosen == nil {
		return nil, errs.New(errs.CodeUnavailable, "the router of the server type returned no server").
			With("type", c.ServerType)
	}
	for _, s := range servers {
		if s == chosen || s.ID == chosen.ID {
			return s, nil
		}
	}
	return nil, errs.New(errs.CodeUnavailable, "the router of the server type returned a server that is not available").
		With("type", c.ServerType).With("server", chosen.ID)
}
