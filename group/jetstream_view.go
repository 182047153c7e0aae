package group

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// jetStreamView is a copy of the bucket, and tells how it changes. All but
// listed belongs to one goroutine.
type jetStreamView struct {
	self   Holder
	sink   Sink
	doubt  func(name string)
	listed chan struct{} // closed after the first listing

	bucketCopy
	held    map[string]map[string]int64 // what was told of by Sink.Held
	listing *bucketCopy                 // what was listed so far; nil when all was
	first   bool
}

type bucketCopy struct {
	groups  map[string]*document
	servers map[Holder]renewed
	lives   map[string]struct{}
}

func newBucketCopy() bucketCopy {
	return bucketCopy{groups: map[string]*document{}, servers: map[Holder]renewed{}, lives: map[string]struct{}{}}
}

// renewed is when a server's key was seen renewed, and for how long that is.
type renewed struct {
	revision uint64
	until    time.Time
}

// overdue is the servers whose keys should have ended, with their revisions. NATS
// may take seconds longer than a ttl; what was seen that long ago, by this
// process's clock, is older still. Each is told once in overdueAgain.
func (v *jetStreamView) overdue(now time.Time) map[Holder]uint64 {
	var late map[Holder]uint64
	for h, r := range v.servers {
		if now.Before(r.until) {
			continue
		}
		if late == nil {
			late = map[Holder]uint64{}
		}
		late[h] = r.revision
		v.servers[h] = renewed{revision: r.revision, until: now.Add(overdueAgain)}
	}
	return late
}

func newJetStreamView(self Holder, sink Sink) *jetStreamView {
	return &jetStreamView{
		self: self, sink: sink, listed: make(chan struct{}), first: true,
		bucketCopy: newBucketCopy(), held: map[string]map[string]int64{},
	}
}

// begin is before a listing.
func (v *jetStreamView) begin() {
	fresh := newBucketCopy()
	v.listing = &fresh
}

// apply is one entry; nil after the last that was there at the beginning.
func (v *jetStreamView) apply(e jetstream.KeyValueEntry) {
	if e == nil {
		v.endListing()
		return
	}
	to := &v.bucketCopy
	if v.listing != nil {
		to = v.listing
	}
	put := e.Operation() == jetstream.KeyValuePut
	if h, ok := splitServerKey(e.Key()); ok {
		if delete(to.servers, h); put {
			to.servers[h] = renewed{revision: e.Revision(), until: time.Now().Add(ttlOf(e.Value()) + overdueAfter)}
		} else {
			v.serverGone(h)
		}
		return
	}
	if life, ok := strings.CutPrefix(e.Key(), "t."); ok {
		if delete(to.lives, life); put {
			to.lives[life] = struct{}{}
		} else {
			v.lifeOver(life)
		}
		return
	}
	name, ok := splitGroupKey(e.Key())
	if !ok {
		return
	}
	var d *document
	if put {
		d = parseDocument(e.Value())
	}
	if v.listing == nil {
		v.group(name, d)
		return
	}
	if delete(to.groups, name); d != nil {
		to.groups[name] = d
	}
}

// endListing makes the view what was listed.
func (v *jetStreamView) endListing() {
	if v.listing == nil {
		return
	}
	fresh := *v.listing
	v.listing = nil
	v.servers, v.lives = fresh.servers, fresh.lives
	if v.first {
		v.groups = fresh.groups
		for name, d := range v.groups {
			v.tellHeld(name, d, nil)
			v.check(name, d)
			d.Notes = nil
		}
		v.first = false
		close(v.listed)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v.groups)) {
		if fresh.groups[name] == nil {
			v.group(name, nil)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fresh.groups)) {
		v.group(name, fresh.groups[name])
	}
}

// group makes d, nil for none, the value of a group.
func (v *jetStreamView) group(name string, d *document) {
	old := v.groups[name]
	if d == nil {
		d = &document{Ended: true, Members: map[string]*documentMember{}}
		if old == nil || old.Ended {
			d.Origin = "" // a group that ended is forgotten
		}
		v.compare(name, old, d)
		v.tellHeld(name, d, nil)
		delete(v.groups, name)
		return
	}
	touched := v.compare(name, old, d)
	d.Notes = nil // they were told; a group that ended is kept for a while
	v.groups[name] = d
	v.tellHeld(name, d, touched)
	v.check(name, d)
}

// compare tells what happened to a group, and returns whom it happened to; nil
// for perhaps everybody.
func (v *jetStreamView) compare(name string, old, d *document) []string {
	if old == nil {
		old = &document{Origin: d.Origin, Members: map[string]*documentMember{}}
	}
	notes, ok := d.since(old.Changes)
	if !ok || old.Origin != d.Origin {
		v.guess(name, old, d)
		return nil
	}
	touched := make([]string, 0, len(notes))
	for _, n := range notes {
		v.replay(name, replayed{note: n, from: old, to: d})
		if touched != nil {
			touched = append(touched, n.UID)
		}
		if n.Kind == noteClear || n.Kind == noteEnded {
			touched = nil
		}
	}
	return touched
}

// replayed is a change on the way from one value of a group to another. from
// becomes what was in between.
type replayed struct {
	note
	from, to *document
}

func (v *jetStreamView) replay(name string, r replayed) {
	switch r.Kind {
	case noteJoined:
		m := r.to.Members[r.UID]
		if m == nil {
			m = &documentMember{} // it left again since
		}
		r.from.Members[r.UID] = m
		v.sink.Change(Change{Kind: ChangeJoined, Group: name, Member: m.member(r.UID)})
	case noteLeft:
		v.left(name, r.from, r.UID, ReasonLeft)
	case noteGone:
		v.left(name, r.from, r.UID, ReasonServerGone)
	case noteClear, noteEnded:
		why := ReasonLeft
		if r.Kind == noteEnded {
			why = ReasonGroupEnded
		}
		for _, uid := range r.from.uids() {
			v.left(name, r.from, uid, why)
		}
	}
}

func (v *jetStreamView) left(name string, from *document, uid string, why Reason) {
	m := from.Members[uid]
	if m == nil {
		return
	}
	delete(from.Members, uid)
	v.sink.Change(Change{Kind: ChangeLeft, Group: name, Member: m.member(uid), Reason: why})
}

// guess tells the difference when what happened in between is not known.
func (v *jetStreamView) guess(name string, old, d *document) {
	if len(old.Members)+len(d.Members) == 0 {
		return
	}
	v.sink.Change(Change{Kind: ChangeMissed})
	same := func(a, b *documentMember) bool {
		return a != nil && b != nil && a.Joined == b.Joined && old.Origin == d.Origin
	}
	for _, uid := range old.uids() {
		if same(old.Members[uid], d.Members[uid]) {
			continue
		}
		why := ReasonLeft
		if d.Ended {
			why = ReasonGroupEnded
		}
		v.sink.Change(Change{Kind: ChangeLeft, Group: name, Member: old.Members[uid].member(uid), Reason: why})
	}
	for _, uid := range d.uids() {
		if !same(old.Members[uid], d.Members[uid]) {
			v.sink.Change(Change{Kind: ChangeJoined, Group: name, Member: d.Members[uid].member(uid)})
		}
	}
}

// tellHeld tells which members this server holds until their unbind. touched
// are those who may have changed; nil is everybody.
func (v *jetStreamView) tellHeld(name string, d *document, touched []string) {
	if v.self == (Holder{}) {
		return
	}
	if touched == nil {
		touched = slices.AppendSeq(d.uids(), maps.Keys(v.held[name]))
	}
	for _, uid := range touched {
		told, was := v.held[name][uid]
		m := d.Members[uid]
		is := m != nil && m.UntilUnbind && m.holder() == v.self
		switch {
		case is && !(was && told == m.Hold):
			if v.held[name] == nil {
				v.held[name] = map[string]int64{}
			}
			v.held[name][uid] = m.Hold
			v.sink.Held(name, uid, m.Hold)
		case was && !is:
			delete(v.held[name], uid)
			v.sink.Released(name, uid)
		}
	}
	if len(v.held[name]) == 0 {
		delete(v.held, name)
	}
}

// check doubts a group that may have to change. Before the end of a listing
// nothing is known to be missing.
func (v *jetStreamView) check(name string, d *document) {
	if d.Ended {
		return
	}
	if _, alive := v.lives[d.Life]; d.Life != "" && !alive {
		v.doubt(name)
		return
	}
	for h := range d.holders() {
		if _, there := v.servers[h]; !there {
			v.doubt(name)
			return
		}
	}
}

func (v *jetStreamView) serverGone(h Holder) {
	for name, d := range v.groups {
		if _, holds := d.holders()[h]; holds {
			v.doubt(name)
		}
	}
}

func (v *jetStreamView) lifeOver(life string) {
	for name, d := range v.groups {
		if d.Life == life && !d.Ended {
			v.doubt(name)
		}
	}
}
