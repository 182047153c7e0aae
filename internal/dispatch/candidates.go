package dispatch

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/cereus-game/cereus/cluster"
)

// roster is what calls to one type choose from. The list is made when discovery
// has another one, when a server is passed over and when that ends; in between
// every call gets the same one, so that a router can keep what it worked out.
type roster struct {
	version atomic.Uint64 // rises whenever a server of the type is passed over or back
	current atomic.Pointer[candidates]
}

// candidates is one such list.
type candidates struct {
	of      []*cluster.Server // the list of discovery that it is made of
	version uint64            // of the roster
	until   int64             // on the dispatcher's clock: then somebody is tried again
	list    []*cluster.Server // never changed
}

// candidates are the servers of the type that a call may go to, sorted by id:
// without those that were found gone, without those that hang unless there are
// no others, and without this server itself.
func (d *Dispatcher) candidates(serverType string) []*cluster.Server {
	servers := d.discovery.ServersByType(serverType)
	if len(servers) == 0 {
		return nil
	}
	r, ok := d.rosters.Load(serverType)
	if !ok {
		r, _ = d.rosters.LoadOrStore(serverType, new(roster))
	}
	if c := r.current.Load(); c != nil && c.madeOf(servers) && c.version == r.version.Load() &&
		(c.until == math.MaxInt64 || int64(d.clock.now()) < c.until) {
		return c.list
	}
	return d.enroll(r, servers)
}

// madeOf reports whether the candidates are made of this list: it is never changed,
// and cannot be another one in the same place while c holds it.
func (c *candidates) madeOf(servers []*cluster.Server) bool {
	return len(c.of) == len(servers) && &c.of[0] == &servers[0]
}

// enroll makes the list anew.
func (d *Dispatcher) enroll(r *roster, servers []*cluster.Server) []*cluster.Server {
	c := &candidates{of: servers, version: r.version.Load(), until: math.MaxInt64} // the version before the looking
	c.list = d.choosable(c, servers)
	if old := r.current.Load(); old != nil && slices.Equal(old.list, c.list) {
		c.list = old.list // the routers know it
	}
	r.current.Store(c)
	return c.list
}

func (d *Dispatcher) choosable(c *candidates, servers []*cluster.Server) []*cluster.Server {
	now := d.clock.now()
	present := make([]*cluster.Server, 0, len(servers))
	var hung []*cluster.Server
	for _, s := range servers {
		t, known := d.targets.Load(keyOf(s))
		switch {
		case s.ID == d.Self.ID && !d.Loopback: // a call to one's own type is for the others
		case known && t.isGone(now):
			c.until = min(c.until, t.goneUntil.Load())
		case known && t.vitals.hung.Load():
			hung = append(hung, s)
		default:
			present = append(present, s)
		}
	}
	switch {
	case len(present) == len(servers):
		return servers
	case len(present) == 0:
		return hung // better a slow answer than none
	}
	return present
}

// reconsider has the list of the target's type made anew.
func (d *Dispatcher) reconsider(t *target) {
	if r, ok := d.rosters.Load(t.server.Type); ok {
		r.version.Add(1)
	}
}

// without are the servers that are none of the tried ones.
func without(servers []*cluster.Server, tried []targetKey) []*cluster.Server {
	was := func(s *cluster.Server) bool { return slices.Contains(tried, keyOf(s)) }
	if len(tried) == 0 || !slices.ContainsFunc(servers, was) {
		return servers
	}
	return slices.DeleteFunc(slices.Clone(servers), was)
}
