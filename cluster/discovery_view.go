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
	leading        *leading // of a key that says who leads the type; then there is no id
}

// name tells apart what updates are of.
func (u update) name() string {
	if u.leading != nil {
		return u.leading.key(u.serverType)
	}
	return serverKey(u.serverType, u.id)
}

// departure is a server that is gone and still answered for.
type departure struct {
	id    string
	until time.Time
}

// verdict is what became of an id, and the place of the update that said so last.
type verdict struct {
	change
	place int
}

// view turns what happens to keys into snapshots and events. One goroutine owns
// it; the feed inside is for everybody.
type view struct {
	*feed
	self           *Server // nil for an observer
	blacklist      map[string]struct{}
	suspectFor     time.Duration
	unconfirmedFor time.Duration
	log            logrus.FieldLogger
	now            func() time.Time
	hints          *hints // what is noticed elsewhere; for everybody
	listed         bool   // it was complete once

	// table has every key by id. Two keys with one id are a fault of somebody's; the
	// younger one is then the server.
	table map[string][]entry
	// leaders has what the keys of each type's leader say.
	leaders map[string]leadership
	// suspects has the servers that calls do not reach.
	suspects map[string]suspicion
	// gone has the ids without a key that are still answered for, and until when;
	// departures is the same by time, with entries that gone has overtaken.
	gone       map[string]time.Time
	departures []departure
}

type viewParams struct {
	self           *Server
	blacklist      []string
	suspectFor     time.Duration
	unconfirmedFor time.Duration // unconfirmedFor when zero
	log            logrus.FieldLogger
	metrics        DiscoveryMetrics
}

func newView(p viewParams) *view {
	v := &view{
		feed:           newFeed(p.log, p.metrics),
		self:           p.self,
		blacklist:      map[string]struct{}{},
		suspectFor:     p.suspectFor,
		unconfirmedFor: cmp.Or(p.unconfirmedFor, unconfirmedFor),
		log:            p.log,
		now:            time.Now,
		hints:          newHints(),
		table:          map[string][]entry{},
		leaders:        map[string]leadership{},
		suspects:       map[string]suspicion{},
		gone:           map[string]time.Time{},
	}
	for _, t := range p.blacklist {
		v.blacklist[t] = struct{}{}
	}
	return v
}

// ignores reports whether a key is of a blacklisted type and not this server's
// own, nor says who leads its type.
func (v *view) ignores(serverType, id string) bool {
	if v.self != nil && serverType == v.self.Type && (id == v.self.ID || id == "") {
		return false
	}
	_, listed := v.blacklist[serverType]
	return listed
}

// apply makes the updates, in order, with which the view is that of a revision,
// and publishes at most one snapshot: what came and went again within them is
// not a change. Who asks for what was after a revision among them is told that
// nobody knows, if it was before one change of an id and after another.
func (v *view) apply(updates []update, revision int64) {
	verdicts := v.settle(updates)
	for _, d := range verdicts {
		v.leap(d.leap())
	}
	v.commit(v.news(verdicts), revision)
}

// replace makes the table what was listed at a revision, through the same code
// as apply. Everything not listed is gone. When nothing changed, something may
// have come and gone all the same: that is for the watch to tell.
func (v *view) replace(listed []update, revision int64) {
	known := v.current.Load().revision
	changes := v.news(v.settle(append(v.missing(listed), listed...)))
	for n := range changes {
		changes[n].revision = revision // of some nobody can say when they were; this is when they are known
		if !v.listed {
			changes[n].reason = ReasonPresent
		}
	}
	switch {
	case !v.listed || revision < known:
		v.listed = true
		v.begin(revision)
	case len(changes) > 0:
		v.leap(leap{from: known, to: revision})
	default:
		v.bridge(leap{from: known, to: revision})
	}
	v.commit(changes, revision)
}

// missing is what became of the keys that are not in listed, which it sorts by
// revision.
func (v *view) missing(listed []update) []update {
	slices.SortStableFunc(listed, func(a, b update) int { return cmp.Compare(a.revision, b.revision) })
	seen := make(map[string]struct{}, len(listed))
	for _, u := range listed {
		seen[u.name()] = struct{}{}
	}
	var missing []update
	for id, entries := range v.table {
		for _, e := range entries {
			if _, ok := seen[serverKey(e.server.Type, id)]; !ok {
				missing = append(missing, update{serverType: e.server.Type, id: id})
			}
		}
	}
	for serverType, l := range v.leaders {
		for _, u := range l.updates(serverType) {
			if _, ok := seen[u.name()]; !ok {
				missing = append(missing, update{serverType: serverType, leading: &leading{wanted: u.leading.wanted}})
			}
		}
	}
	slices.SortFunc(missing, func(a, b update) int { return cmp.Compare(a.name(), b.name()) })
	return missing
}

// settle makes the updates to the table and returns what became of each id, in
// the order in which they were last changed.
func (v *view) settle(updates []update) []*verdict {
	current := v.current.Load()
	final := make(map[string]*verdict, len(updates))
	for n, u := range updates {
		if v.ignores(u.serverType, u.id) {
			continue
		}
		if u.leading != nil {
			v.lead(u, final, n)
			continue
		}
		d, known := final[u.id]
		if !known {
			before, _ := current.Server(u.id)
			d = &verdict{change: change{id: u.id, before: before, after: before}}
			final[u.id] = d
		}
		if next := v.step(u, d.after); next != d.after {
			d.follow(next, u.revision)
			d.place = n
		}
	}
	return slices.SortedFunc(maps.Values(final), func(a, b *verdict) int { return cmp.Compare(a.place, b.place) })
}

// news is what the verdicts amount to.
func (v *view) news(verdicts []*verdict) []change {
	var changes []change
	for _, d := range verdicts {
		changes = v.appendNews(changes, d.change)
	}
	return changes
}

// appendNews adds a change unless it is none. One that only the revision of the
// value tells is one for the snapshot.
func (v *view) appendNews(changes []change, c change) []change {
	if c.leads != nil {
		if *c.leads == v.current.Load().leaders[c.leads.serverType] {
			return changes
		}
		return append(changes, c)
	}
	if same(c.before, c.after) && (c.after == nil || c.before.Revision == c.after.Revision) {
		return changes
	}
	return append(changes, c)
}

// commit publishes the snapshot after the changes, of a revision.
func (v *view) commit(changes []change, revision int64) {
	current := v.current.Load()
	if len(changes) == 0 && revision == current.revision {
		return
	}
	next := current.apply(changes, revision)
	var events []Event
	for n := range changes {
		c := &changes[n]
		c.revision = cmp.Or(c.revision, revision)
		if c.leads != nil {
			events = next.appendLeader(events, c.leads.leader(), current, c.revision)
			continue
		}
		events = c.appendEvents(events)
	}
	v.publish(next, events)
}

// step makes one update to the table and says who the id is then.
func (v *view) step(u update, before *Server) *Server {
	old := v.table[u.id]
	entries := make([]entry, 0, len(old)+1)
	for _, e := range old {
		switch {
		case e.server.Type != u.serverType:
			entries = append(entries, e)
		case u.server != nil && e.revision == u.revision && e.server.equal(u.server):
			return before // it is what is known
		}
	}
	if u.server != nil {
		entries = append(entries, entry{server: u.server, revision: u.revision})
	}
	if len(entries) > 0 {
		v.table[u.id] = entries
		delete(v.gone, u.id)
		return v.face(u.id)
	}
	if len(old) == 0 {
		return before // there was no such key
	}
	return v.depart(u.id, before)
}

// face is who an id with a key is: the youngest of its keys, as suspect when calls
// do not reach it, and gone when it says that it left.
func (v *view) face(id string) *Server {
	s := slices.MaxFunc(v.table[id], func(a, b entry) int { return cmp.Compare(a.server.Epoch, b.server.Epoch) }).server
	suspected, ok := v.suspects[id]
	switch {
	case ok && (s.State == StateLeft || !sameRun(s, suspected.run)):
		delete(v.suspects, id)
	case ok:
		return s.withState(StateSuspect)
	}
	if s.State == StateLeft {
		return s.departed(StateLeft)
	}
	return s
}

// depart makes an id one without a key, and says who that is.
func (v *view) depart(id string, before *Server) *Server {
	delete(v.table, id)
	delete(v.suspects, id)
	until := v.now().Add(v.suspectFor)
	v.gone[id] = until
	v.departures = append(v.departures, departure{id: id, until: until})
	if present(before) {
		return before.departed(StateSuspect)
	}
	return before
}

// expire forgets those gone for long enough, ends suspicions whose time is over,
// and says when it is due again; zero is never.
func (v *view) expire() time.Time {
	now := v.now()
	changes, next := v.expireSuspicions(v.expireDepartures(now), now)
	v.commit(changes, v.current.Load().revision)
	if len(v.departures) > 0 {
		next = earlier(next, v.departures[0].until)
	}
	return next
}

func (v *view) expireDepartures(now time.Time) []change {
	var changes []change
	for len(v.departures) > 0 && !v.departures[0].until.After(now) {
		d := v.departures[0]
		v.departures = v.departures[1:]
		if until, ok := v.gone[d.id]; !ok || !until.Equal(d.until) {
			continue // it came back, and perhaps went again
		}
		delete(v.gone, d.id)
		if s, ok := v.current.Load().Server(d.id); ok {
			changes = append(changes, change{id: d.id, before: s})
		}
	}
	return changes
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
