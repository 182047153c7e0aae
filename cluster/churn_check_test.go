package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// linesShown is how much of what happened to an id a failure shows.
const linesShown = 30

// changesAsked is how often each life is asked for its changes, each way.
const changesAsked = 20

// faultList is what is wrong with one life, at most a few of many.
type faultList struct {
	ledger *ledger
	life   *life
	faults []string
}

// addf notes a fault that concerns an id or a type at a place of the history.
func (f *faultList) addf(about string, e Event, format string, args ...any) {
	if len(f.faults) >= 3 {
		return
	}
	text := fmt.Sprintf("%s: "+format, append([]any{f.life.name}, args...)...)
	if about != "" {
		text += fmt.Sprintf("\n  etcd's history of %s:\n    %s\n  what was told of it:\n    %s", about,
			strings.Join(f.ledger.lines(about, e.Revision+5, linesShown), "\n    "),
			strings.Join(f.life.lines(about, e.Seq+3, linesShown), "\n    "))
	}
	f.faults = append(f.faults, text)
}

// check compares everything that a life said with etcd's history.
func (l *life) check(history *ledger, random *rand.Rand) []string {
	f := &faultList{ledger: history, life: l}
	l.checkOrder(f)
	l.checkReplay(f)
	l.checkAgainst(f)
	for _, s := range append(l.samples, l.d.Snapshot()) {
		l.checkSnapshot(f, s)
	}
	l.checkListener(f)
	l.checkChanges(f, random)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !errors.Is(l.followErr, ErrNotRunning) {
		f.addf("", Event{}, "Follow ended with %v", l.followErr)
	}
	for _, err := range l.deaths {
		f.addf(l.id(), l.end(), "it died: %v", err)
	}
	if n := l.counts[relistedFor+string(endBackwards)]; n > 0 {
		f.addf("", Event{}, "it takes etcd's revision for one that went backwards, %d times", n)
	}
	if l.d.view.history.generation != 1 {
		f.addf("", Event{}, "its history began anew")
	}
	return f.faults
}

// checkOrder: places rise by one, revisions never fall.
func (l *life) checkOrder(f *faultList) {
	for n, e := range l.events {
		if e.Seq != uint64(n)+1 {
			f.addf("", e, "event %d has place %d", n+1, e.Seq)
		}
		if n > 0 && e.Revision < l.events[n-1].Revision {
			f.addf("", e, "the revision falls from %d to %d at place %d", l.events[n-1].Revision, e.Revision, e.Seq)
		}
	}
	for n := 1; n < len(l.moments); n++ {
		if l.moments[n].revision < l.moments[n-1].revision {
			f.addf("", Event{}, "the view goes back from revision %d to %d", l.moments[n-1].revision, l.moments[n].revision)
		}
	}
}

// checkReplay: the events alone make sense one after the other and lead to the
// last snapshot. It knows nothing of etcd.
func (l *life) checkReplay(f *faultList) {
	there, tokens, leaders := map[string]*Server{}, map[string]int64{}, map[string]told{}
	for _, e := range l.events {
		if fault := takeIn(there, e); fault != "" {
			f.addf(e.Server.ID, e, "%s: #%d %+v", fault, e.Seq, toldOf(e))
		}
		if e.Kind != EventLeader {
			continue
		}
		t := toldOf(e)
		was := leaders[e.Type]
		if e.Token != 0 && (e.Token < tokens[e.Type] || e.Token == tokens[e.Type] && !sameTerm(was, t)) {
			f.addf(e.Type, e, "the token does not rise: #%d %+v", e.Seq, t)
		}
		if was.token == 0 && e.Token == 0 {
			f.addf(e.Type, e, "vacant twice: #%d %+v", e.Seq, t)
		}
		leaders[e.Type], tokens[e.Type] = t, max(e.Token, tokens[e.Type])
	}
	last := l.d.Snapshot()
	if len(there) != len(last.Servers()) {
		f.addf("", Event{}, "the events lead to %d servers, the view has %d", len(there), len(last.Servers()))
	}
	for _, s := range last.Servers() {
		if replayed := there[s.ID]; replayed == nil || words(replayed) != words(s) || replayed.Epoch != s.Epoch {
			f.addf(s.ID, Event{Revision: last.Revision(), Seq: last.Seq()}, "the events lead to another %s than the view has", s.ID)
		}
	}
}

// sameTerm reports whether two events in a row can have one token: when all that
// changed is that the leader is, or is not, the one set by hand. Who it is need not be known.
func sameTerm(was, is told) bool {
	return was.token == is.token && was.reason != is.reason && (was.id == is.id || was.id == "" || is.id == "")
}

// takeIn makes an event to those who are there, and says what is wrong with it.
func takeIn(there map[string]*Server, e Event) string {
	if e.Kind == EventLeader {
		return ""
	}
	was := there[e.Server.ID]
	switch e.Kind {
	case EventUp:
		there[e.Server.ID] = e.Server
		if was != nil {
			return "up twice"
		}
	case EventDown:
		delete(there, e.Server.ID)
		if was == nil || was.Epoch != e.Server.Epoch {
			return "down of what is not up"
		}
	case EventUpdate:
		there[e.Server.ID] = e.Server
		switch {
		case was == nil || was.Epoch != e.Server.Epoch:
			return "update of what is not up"
		case words(was) == words(e.Server):
			return "update that changes nothing"
		case words(was) != words(e.Before):
			return "update of something else than was told"
		}
	}
	return ""
}

// checkAgainst: between any two snapshots just that was told which etcd's
// history asks for.
func (l *life) checkAgainst(f *faultList) {
	if len(l.moments) == 0 {
		f.addf("", Event{}, "it has no view")
		return
	}
	known := map[string]bool{}
	var before moment
	for n, m := range l.moments {
		s := span{from: before.revision, to: m.revision, listed: m.listed || n == 0, first: n == 0}
		l.compare(f, s, l.events[before.seq:m.seq], f.ledger.expect(s, known))
		before = m
	}
	if before.seq != uint64(len(l.events)) {
		f.addf("", Event{}, "%d events are told, the last snapshot is of %d", len(l.events), before.seq)
	}
}

func (l *life) compare(f *faultList, s span, events []Event, want []told) {
	for n := range max(len(events), len(want)) {
		var got, should told
		e := Event{Revision: s.to}
		if n < len(want) {
			should = want[n]
		}
		if n < len(events) {
			e, got = events[n], toldOf(events[n])
		}
		if l.forgets && should.reason == ReasonReturned && got.reason == ReasonJoined {
			got.reason = ReasonReturned
		}
		if got.kind == EventLeader && got.id == "" && got.token != 0 {
			got.id = l.unknownLeader(f.ledger, s.to, should.id)
		}
		if got != should {
			about := should.id
			if about == "" {
				about = got.id
			}
			f.addf(about, e, "from revision %d to %d, listed: %v\n  told %+v\n  want %+v", s.from, s.to, s.listed, got, should)
			return
		}
	}
}

// unknownLeader is the id of a leader that is not told, if it is right not to
// tell who it is: nobody knows it at that revision.
func (l *life) unknownLeader(history *ledger, revision int64, id string) string {
	if slices.ContainsFunc(history.serversAt(revision), func(s *Server) bool { return s.ID == id }) {
		return ""
	}
	return id
}

// checkSnapshot: a view of a revision is etcd at that revision.
func (l *life) checkSnapshot(f *faultList, s *Snapshot) {
	if fault := differs(f.ledger, s); fault != "" {
		f.addf("", Event{}, "the view of revision %d: %s", s.Revision(), fault)
	}
}

// differs says how a snapshot is not what etcd was at its revision.
func differs(history *ledger, s *Snapshot) string {
	want := history.serversAt(s.Revision())
	types := map[string][]string{}
	for _, w := range want {
		types[w.Type] = append(types[w.Type], w.ID)
	}
	if !slices.Equal(ids(want), ids(s.Servers())) {
		return fmt.Sprintf("it has %v, etcd had %v", ids(s.Servers()), ids(want))
	}
	for n, got := range s.Servers() {
		found, ok := s.Server(got.ID)
		if !ok || found != got || got.Epoch != want[n].Epoch || got.Revision != want[n].Revision || words(got) != words(want[n]) {
			return fmt.Sprintf("it has %+v, etcd had %+v", got, want[n])
		}
	}
	if len(types) != len(s.Types()) {
		return fmt.Sprintf("it has types %v", s.Types())
	}
	for serverType := range types {
		routable := slices.DeleteFunc(slices.Clone(want), func(w *Server) bool { return w.Type != serverType || !w.routable() })
		if !slices.Equal(ids(routable), ids(s.ServersByType(serverType))) {
			return fmt.Sprintf("of type %s it has %v, etcd had %v", serverType, ids(s.ServersByType(serverType)), ids(routable))
		}
		if got, _ := s.Leader(serverType); got.ID != "" && got != history.leaderAt(serverType, s.Revision()) ||
			got.ID == "" && history.leaderAt(serverType, s.Revision()).ID != "" {
			return fmt.Sprintf("it has leader %+v, etcd had %+v", got, history.leaderAt(serverType, s.Revision()))
		}
	}
	return ""
}

// checkListener: a listener hears who is present, and then the same as a reader
// of the history.
func (l *life) checkListener(f *faultList) {
	n := 0
	for n < len(l.heard) && l.heard[n].Reason == ReasonPresent {
		n++
	}
	for n < len(l.heard) && l.heard[n].Kind == EventLeader && n > 0 && l.heard[n].Seq == l.heard[0].Seq {
		n++
	}
	for _, e := range l.heard[n:] {
		if e.Seq == 0 || e.Seq > uint64(len(l.events)) || e != l.events[e.Seq-1] {
			f.addf("", e, "the listener heard #%d %+v", e.Seq, toldOf(e))
			return
		}
	}
	for n = max(n, 1); n < len(l.heard); n++ {
		if l.heard[n].Seq != l.heard[n-1].Seq+1 {
			f.addf("", Event{}, "the listener heard #%d after #%d", l.heard[n].Seq, l.heard[n-1].Seq)
		}
	}
}

// checkChanges: what Changes tells makes of etcd at a revision, whoever saw it,
// the last view, or it says that it cannot.
func (l *life) checkChanges(f *faultList, random *rand.Rand) {
	for _, since := range l.revisionsToAsk(random) {
		var got []Event
		var end error
		for e, err := range l.d.Changes(context.Background(), since) {
			if err != nil {
				end = err
				break
			}
			got = append(got, e)
		}
		if fault := l.wrongChanges(f.ledger, since, got, end); fault != "" {
			f.addf("", Event{}, "changes since %d: %s", since, fault)
		}
	}
}

// revisionsToAsk is any revisions of its time and, as many, such as it has no
// snapshot of: there it is hardest to answer.
func (l *life) revisionsToAsk(random *rand.Rand) []int64 {
	first, last := l.moments[0].revision, l.d.Snapshot().Revision()
	var all, within []int64
	for n := 1; n < len(l.moments); n++ {
		for since := l.moments[n-1].revision + 1; since < l.moments[n].revision; since++ {
			within = append(within, since)
		}
	}
	for range changesAsked {
		all = append(all, first-2+random.Int64N(last-first+3))
		if len(within) > 0 {
			all = append(all, within[random.IntN(len(within))])
		}
	}
	return all
}

// wrongChanges says what is wrong with an answer of Changes.
func (l *life) wrongChanges(history *ledger, since int64, got []Event, end error) string {
	if l.mayForget(since) {
		l.add("changes refused")
		if !errors.Is(end, ErrHistoryGone) || len(got) > 0 {
			return fmt.Sprintf("%d events and %v, it should not know", len(got), end)
		}
		return ""
	}
	l.add("changes told")
	if !errors.Is(end, ErrNotRunning) {
		return fmt.Sprintf("%d events and %v, it should know", len(got), end)
	}
	r := rerun{there: map[string]*Server{}, leaders: history.leadersAt(since)}
	for _, s := range history.serversAt(since) {
		r.there[s.ID] = s
	}
	return cmp.Or(r.takeIn(got), r.differs(l.d.Snapshot()))
}

// mayForget reports whether the history cannot tell what was after a revision.
func (l *life) mayForget(since int64) bool {
	floor := l.moments[0].revision
	if n := len(l.events) - historySize; n > 0 {
		floor = max(floor, l.events[n-1].Revision)
	}
	return since < floor || slices.ContainsFunc(l.d.view.history.leaps, func(jump leap) bool { return jump.has(since) })
}

// rerun is a view made of etcd's own history, of some revision, and of what a
// process says that came after it.
type rerun struct {
	there   map[string]*Server
	leaders map[string]Leader
}

// takeIn makes the events and says what is wrong with them.
func (r *rerun) takeIn(events []Event) string {
	for _, e := range events {
		fault := takeIn(r.there, e)
		if e.Kind == EventLeader {
			fault = r.lead(e)
		}
		if fault != "" {
			return fmt.Sprintf("%s: #%d %+v", fault, e.Seq, toldOf(e))
		}
	}
	return ""
}

func (r *rerun) lead(e Event) string {
	is, was := Leader{Type: e.Type, ID: toldOf(e).id, Token: e.Token, ByHand: e.Reason == ReasonChosen}, r.leaders[e.Type]
	r.leaders[e.Type] = is
	if is.Token == was.Token && is.ByHand == was.ByHand {
		return "it leads already"
	}
	return ""
}

// differs says how it is not a snapshot.
func (r *rerun) differs(last *Snapshot) string {
	if len(r.there) != len(last.Servers()) {
		return fmt.Sprintf("it leads to %v, the view has %v", slices.Sorted(maps.Keys(r.there)), ids(last.Servers()))
	}
	for _, s := range last.Servers() {
		if is := r.there[s.ID]; is == nil || is.Epoch != s.Epoch || words(is) != words(s) {
			return fmt.Sprintf("it leads to another %s than the view has", s.ID)
		}
	}
	for serverType, is := range r.leaders {
		if l, _ := last.Leader(serverType); is.Token != l.Token || is.ByHand != l.ByHand {
			return fmt.Sprintf("it leads to leader %+v, the view has %+v", is, l)
		}
	}
	return ""
}
