package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
)

// entry is one key: the server it holds and the revision that wrote it.
type entry struct {
	server   *Server
	revision int64
}

// update is what happened to one key. A nil server means the key is gone.
type update struct {
	serverType, id string
	server         *Server
	revision       int64
}

// departure is a server that is gone and still answered for.
type departure struct {
	id    string
	until time.Time
}

// verdict is who an id is after some updates, and the place of the last one.
type verdict struct {
	id     string
	server *Server
	place  int
}

// view turns what happens to keys into snapshots. One goroutine owns it; the
// feed inside is for everybody.
type view struct {
	*feed
	self       *Server // nil for an observer
	blacklist  map[string]struct{}
	suspectFor time.Duration
	log        logrus.FieldLogger
	now        func() time.Time

	// table has every key by id. Two keys with one id are a fault of somebody's; the
	// younger one is then the server.
	table map[string][]entry
	// gone has the ids without a key that are still answered for, and until when;
	// departures is the same by time, with entries that gone has overtaken.
	gone       map[string]time.Time
	departures []departure
}

type viewParams struct {
	self       *Server
	blacklist  []string
	suspectFor time.Duration
	log        logrus.FieldLogger
	metrics    DiscoveryMetrics
}

func newView(p viewParams) *view {
	v := &view{
		feed:       newFeed(p.log, p.metrics),
		self:       p.self,
		blacklist:  map[string]struct{}{},
		suspectFor: p.suspectFor,
		log:        p.log,
		now:        time.Now,
		table:      map[string][]entry{},
		gone:       map[string]time.Time{},
	}
	for _, t := range p.blacklist {
		v.blacklist[t] = struct{}{}
	}
	return v
}

// ignores reports whether a key is of a blacklisted type and not this server's own.
func (v *view) ignores(serverType, id string) bool {
	if v.self != nil && id == v.self.ID && serverType == v.self.Type {
		return false
	}
	_, listed := v.blacklist[serverType]
	return listed
}

// apply makes the updates, in order, and publishes at most one snapshot: what
// came and went again within them is not a change.
func (v *view) apply(updates []update) {
	current := v.current.Load()
	final := make(map[string]*verdict, len(updates))
	for n, u := range updates {
		if v.ignores(u.serverType, u.id) {
			continue
		}
		d, known := final[u.id]
		if !known {
			before, _ := current.server(u.id)
			d = &verdict{id: u.id, server: before}
			final[u.id] = d
		}
		d.server, d.place = v.step(u, d.server), n
	}
	verdicts := slices.SortedFunc(maps.Values(final), func(a, b *verdict) int { return cmp.Compare(a.place, b.place) })
	var changes []change
	for _, d := range verdicts {
		if before, _ := current.server(d.id); !same(before, d.server) {
			changes = append(changes, change{id: d.id, before: before, after: d.server})
		}
	}
	if len(changes) > 0 {
		v.publish(current.apply(changes), changes)
	}
}

// step makes one update to the table and says who the id is then.
func (v *view) step(u update, before *Server) *Server {
	entries := slices.DeleteFunc(slices.Clone(v.table[u.id]), func(e entry) bool { return e.server.Type == u.serverType })
	if u.server != nil {
		entries = append(entries, entry{server: u.server, revision: u.revision})
	}
	if len(entries) > 0 {
		v.table[u.id] = entries
		delete(v.gone, u.id)
		return slices.MaxFunc(entries, func(a, b entry) int { return cmp.Compare(a.server.Epoch, b.server.Epoch) }).server
	}
	if len(v.table[u.id]) == 0 {
		return before // there was no such key
	}
	delete(v.table, u.id)
	until := v.now().Add(v.suspectFor)
	v.gone[u.id] = until
	v.departures = append(v.departures, departure{id: u.id, until: until})
	if present(before) {
		return before.withState(StateSuspect)
	}
	return before
}

func same(a, b *Server) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.equal(b)
}

// replace makes the table what listed says, through the same code as apply.
// Everything not listed is gone.
func (v *view) replace(listed []update) {
	seen := make(map[string]struct{}, len(listed))
	for _, u := range listed {
		seen[serverKey(u.serverType, u.id)] = struct{}{}
	}
	var updates []update
	for id, entries := range v.table {
		for _, e := range entries {
			if _, ok := seen[serverKey(e.server.Type, id)]; !ok {
				updates = append(updates, update{serverType: e.server.Type, id: id, revision: e.revision})
			}
		}
	}
	byRevision := func(a, b update) int { return cmp.Compare(a.revision, b.revision) }
	slices.SortFunc(updates, byRevision)
	listed = slices.SortedStableFunc(slices.Values(listed), byRevision)
	v.apply(append(updates, listed...))
}

// expire forgets those gone for long enough and says when it is due again; zero
// is never.
func (v *view) expire() time.Time {
	now, current := v.now(), v.current.Load()
	var changes []change
	for len(v.departures) > 0 && !v.departures[0].until.After(now) {
		d := v.departures[0]
		v.departures = v.departures[1:]
		if until, ok := v.gone[d.id]; !ok || !until.Equal(d.until) {
			continue // it came back, and perhaps went again
		}
		delete(v.gone, d.id)
		if s, ok := current.server(d.id); ok {
			changes = append(changes, change{id: d.id, before: s})
		}
	}
	if len(changes) > 0 {
		v.publish(current.apply(changes), nil)
	}
	if len(v.departures) == 0 {
		return time.Time{}
	}
	return v.departures[0].until
}

// holder is the server in a key as the view has it; nil when there is none.
func (v *view) holder(serverType, id string) *Server {
	for _, e := range v.table[id] {
		if e.server.Type == serverType {
			return e.server
		}
	}
	return nil
}
