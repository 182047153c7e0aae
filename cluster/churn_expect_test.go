package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// told is an event as values that can be compared.
type told struct {
	kind       EventKind
	reason     Reason
	serverType string
	id         string
	revision   int64
	epoch      int64
	written    int64 // revision of the server's value
	words      string
	before     string
	token      int64
}

func toldOf(e Event) told {
	t := told{kind: e.Kind, reason: e.Reason, serverType: e.Type, revision: e.Revision, token: e.Token}
	if e.Server != nil {
		t.id = e.Server.ID
	}
	if e.Kind == EventLeader {
		return t
	}
	t.epoch, t.written, t.words = e.Server.Epoch, e.Server.Revision, words(e.Server)
	if e.Before != nil {
		t.before = words(e.Before)
	}
	return t
}

func toldOfServer(kind EventKind, reason Reason, s *Server) told {
	return told{
		kind: kind, reason: reason, serverType: s.Type, id: s.ID,
		epoch: s.Epoch, written: s.Revision, words: words(s),
	}
}

// span is the way from one snapshot of a view to its next.
type span struct {
	from, to int64
	listed   bool // by a listing, which does not know what was between
	first    bool // from nothing
}

// expectation is what must be told of one key, and where among the rest.
type expectation struct {
	events []told
	order  string
}

// expect is what a view must tell of the way, by etcd's own history: nothing
// else, and in this order. known has the keys that the view has heard of.
func (l *ledger) expect(s span, known map[string]bool) []told {
	changed := map[string]*version{} // the last of each key
	for _, v := range l.between(s.from, s.to) {
		changed[v.key] = v
	}
	var all []expectation
	for key, last := range changed {
		if serverType, ok := strings.CutPrefix(key, leadersPrefix); ok {
			if serverType, isWanted := strings.CutSuffix(serverType, wantedSuffix); !isWanted || changed[leaderKey(serverType)] == nil {
				all = append(all, l.expectLeader(serverType, s))
			}
			continue
		}
		all = append(all, l.expectServer(key, last, s, known))
	}
	slices.SortFunc(all, func(a, b expectation) int { return cmp.Compare(a.order, b.order) })
	var events []told
	for _, e := range all {
		events = append(events, e.events...)
	}
	return events
}

// expectServer is what must be told of the server of a key.
func (l *ledger) expectServer(key string, last *version, s span, known map[string]bool) expectation {
	before := l.at(key, s.from)
	w := walk{before: before, now: before}
	if s.listed {
		w.step(last)
	} else {
		for _, v := range l.keys[key] {
			if v.revision > s.from && v.revision <= s.to {
				w.step(v)
			}
		}
	}
	if w.counted == nil {
		return expectation{}
	}
	e := expectation{events: w.events(s, known), order: watchOrder(w.counted)}
	known[key] = true
	revision := w.counted.revision
	if s.listed {
		revision, e.order = s.to, listOrder(w.counted)
	}
	for n := range e.events {
		e.events[n].revision = revision
	}
	return e
}

func watchOrder(v *version) string { return fmt.Sprintf("%012d", v.place) }

// listOrder has what is missing first.
func listOrder(v *version) string {
	if v.gone || v.server == nil && !strings.HasPrefix(v.key, leadersPrefix) {
		return "0" + v.key
	}
	return fmt.Sprintf("1%012d", v.place)
}

// walk follows one key.
type walk struct {
	before  *version // as the view had it
	now     *version
	counted *version // the last that mattered
	last    *Server  // how the first run ended
	why     Reason
}

func (w *walk) step(v *version) {
	was := w.now
	switch {
	case v.server != nil:
		w.now, w.counted = v, v
	case was.here():
		w.now, w.counted = nil, v
	default:
		w.now = nil
		return // nobody was there
	}
	switch {
	case !w.before.here():
	case w.stays():
		w.last = nil
	case w.last == nil:
		w.last, w.why = w.ending(was)
	}
}

// stays reports whether the run that the view had is there.
func (w *walk) stays() bool {
	return w.before.here() && w.now.here() && oneRun(w.before, w.now)
}

func oneRun(a, b *version) bool { return a.epoch == b.epoch && a.server.Nonce == b.server.Nonce }

func (w *walk) ending(was *version) (*Server, Reason) {
	switch {
	case w.now == nil:
		return was.server.withState(StateSuspect), ReasonCrashed
	case oneRun(w.before, w.now): // and not here: it left
		return w.now.server, ReasonLeft
	}
	return w.before.server.withState(StateSuspect), ReasonReplaced
}

func (w *walk) events(s span, known map[string]bool) []told {
	if w.stays() {
		if words(w.before.server) == words(w.now.server) {
			return nil
		}
		t := toldOfServer(EventUpdate, ReasonChanged, w.now.server)
		t.before = words(w.before.server)
		return []told{t}
	}
	var events []told
	if w.before.here() {
		events = append(events, toldOfServer(EventDown, w.why, w.last))
	}
	if w.now.here() {
		reason := ReasonJoined
		switch {
		case s.first:
			reason = ReasonPresent
		case known[w.now.key]:
			reason = ReasonReturned
		}
		events = append(events, toldOfServer(EventUp, reason, w.now.server))
	}
	return events
}

// expectLeader is what must be told of the leader of a type.
func (l *ledger) expectLeader(serverType string, s span) expectation {
	before, after := l.leaderAt(serverType, s.from), l.leaderAt(serverType, s.to)
	last := l.at(leaderKey(serverType), s.to)
	if wanted := l.at(wantedKey(serverType), s.to); last == nil || wanted != nil && wanted.revision > last.revision {
		last = wanted
	}
	if before == after || s.first && after.ID == "" {
		return expectation{}
	}
	t := told{kind: EventLeader, reason: ReasonElected, serverType: serverType, id: after.ID, token: after.Token, revision: last.revision}
	switch {
	case after.ID == "":
		t.reason = ReasonVacant
	case after.ByHand:
		t.reason = ReasonChosen
	}
	e := expectation{events: []told{t}, order: watchOrder(last)}
	if s.listed {
		e.events[0].revision, e.order = s.to, l.listedLeaderOrder(serverType, s.to)
	}
	return e
}

// listedLeaderOrder is by the younger of the two keys that is there.
func (l *ledger) listedLeaderOrder(serverType string, revision int64) string {
	order := ""
	for _, key := range []string{leaderKey(serverType), wantedKey(serverType)} {
		if v := l.at(key, revision); v != nil {
			order = max(order, listOrder(v))
		}
	}
	return order
}
