package group

import (
	"encoding/json"
	"maps"
	"slices"
)

// keptNotes is how many of the last changes a group's value tells: a follower
// sees only the newest value.
const keptNotes = 64

// document is the value of one group.
type document struct {
	Origin  string                     `json:"o"`           // random, of the first Create since the name was unused
	Life    string                     `json:"t,omitempty"` // the key that is there while the group is; empty without a ttl
	TTL     int64                      `json:"d,omitempty"` // nanoseconds
	Ended   bool                       `json:"e,omitempty"`
	Changes int64                      `json:"n"` // number of the last change
	Members map[string]*documentMember `json:"m,omitempty"`
	Notes   []note                     `json:"c,omitempty"` // the last changes
}

type documentMember struct {
	Attributes  map[string]string `json:"a,omitempty"`
	Server      string            `json:"s,omitempty"`
	Run         string            `json:"r,omitempty"`
	UntilUnbind bool              `json:"u,omitempty"`
	Joined      int64             `json:"j"`           // number of the change that made it a member
	Hold        int64             `json:"h,omitempty"` // number of the change that made its hold what it is
}

// note is one change.
type note struct {
	Kind noteKind `json:"k"`
	UID  string   `json:"u,omitempty"`
}

type noteKind string

const (
	noteJoined noteKind = "j"
	noteLeft   noteKind = "l"
	noteGone   noteKind = "g" // left with its server
	noteHeld   noteKind = "h" // is held otherwise
	noteClear  noteKind = "c" // all left
	noteEnded  noteKind = "e" // the group ended
)

// parseDocument returns nil for what is not one.
func parseDocument(data []byte) *document {
	d := &document{}
	if len(data) == 0 || json.Unmarshal(data, d) != nil {
		return nil
	}
	maps.DeleteFunc(d.Members, func(_ string, m *documentMember) bool { return m == nil })
	if len(d.Notes) > keptNotes || int64(len(d.Notes)) > d.Changes || d.Changes < 0 {
		d.Notes = nil
	}
	if d.Members == nil {
		d.Members = map[string]*documentMember{}
	}
	return d
}

// change notes a change and returns its number.
func (d *document) change(kind noteKind, uid string) int64 {
	d.Changes++
	d.Notes = append(d.Notes, note{kind, uid})
	if extra := len(d.Notes) - keptNotes; extra > 0 {
		d.Notes = d.Notes[extra:]
	}
	return d.Changes
}

// since is the changes after the n-th; false when not all of them are known.
func (d *document) since(n int64) ([]note, bool) {
	missing := d.Changes - n
	if missing < 0 || missing > int64(len(d.Notes)) {
		return nil, false
	}
	return d.Notes[int64(len(d.Notes))-missing:], true
}

func (m *documentMember) holder() Holder { return Holder{m.Server, m.Run} }

func (m *documentMember) held() bool { return m.holder() != Holder{} }

func (m *documentMember) member(uid string) Member {
	return Member{UID: uid, Attributes: m.Attributes, Holder: m.holder(), UntilUnbind: m.UntilUnbind}
}

func (d *document) uids() []string { return slices.Sorted(maps.Keys(d.Members)) }

// add makes m a member, or its hold what m says.
func (d *document) add(m Member) error {
	old := d.Members[m.UID]
	switch {
	case old == nil:
		now := &documentMember{Attributes: m.Attributes, Joined: d.change(noteJoined, m.UID)}
		now.hold(m, now.Joined)
		d.Members[m.UID] = now
		return nil
	case old.held() && m.held():
		old.hold(m, d.change(noteHeld, m.UID))
	}
	return ErrMemberExists
}

func (m *documentMember) hold(as Member, change int64) {
	m.Server, m.Run, m.UntilUnbind, m.Hold = as.Holder.Server, as.Holder.Run, as.UntilUnbind, change
}

func (d *document) remove(uid string, kind noteKind) {
	delete(d.Members, uid)
	d.change(kind, uid)
}

// end makes it the value of a group that is not there.
func (d *document) end() {
	clear(d.Members)
	d.Ended = true
	d.change(noteEnded, "")
}

// holders are the servers that hold members.
func (d *document) holders() map[Holder]struct{} {
	all := map[Holder]struct{}{}
	for _, m := range d.Members {
		if m.held() {
			all[m.holder()] = struct{}{}
		}
	}
	return all
}
