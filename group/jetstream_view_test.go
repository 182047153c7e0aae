package group

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"pgregory.net/rapid"
)

func keyValue(key string, value []byte) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), Value: value, CreateRevision: 1, ModRevision: 1}
}

// A follower that sees only some of the values of a group hears the same as
// one that sees all, as long as the notes reach back.
func TestAFollowerMissesValuesButNoChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		every, some := newTold(), newTold()
		d := &document{Origin: "o", Members: map[string]*documentMember{}}
		for range rapid.IntRange(0, 100).Draw(r, "steps") {
			uid := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "uid")
			switch rapid.IntRange(0, 9).Draw(r, "what") {
			case 0:
				clear(d.Members)
				d.change(noteClear, "")
			case 1:
				d.end()
				d.Ended = false
			default:
				if d.Members[uid] == nil {
					require.NoError(r, d.add(Member{UID: uid}))
				} else {
					d.remove(uid, rapid.SampledFrom([]noteKind{noteLeft, noteGone}).Draw(r, "why"))
				}
			}
			every.view.group("g", copied(r, d))
			if d.Changes%8 == 0 || rapid.Bool().Draw(r, "seen") {
				some.view.group("g", copied(r, d))
			}
		}
		every.view.group("g", nil)
		some.view.group("g", copied(r, d))
		some.view.group("g", nil)
		// Who left again before it was seen is told without what was known of it.
		require.Equal(r, every.changes, some.changes)
	})
}

type told struct {
	view    *jetStreamView
	changes []string
	held    map[string]int64
}

func newTold() *told {
	tl := &told{held: map[string]int64{}}
	tl.view = newJetStreamView(Holder{"s", "r"}, Sink{
		Change: func(c Change) {
			// The end of the name itself is guessed, and says so.
			if c.Kind != ChangeMissed {
				tl.changes = append(tl.changes, fmt.Sprint(c.Kind, c.Member.UID, c.Reason))
			}
		},
		Held:     func(_, uid string, hold int64) { tl.held[uid] = hold },
		Released: func(_, uid string) { delete(tl.held, uid) },
	})
	tl.view.doubt = func(string) {}
	return tl
}

func copied(t require.TestingT, d *document) *document {
	data, err := json.Marshal(d)
	require.NoError(t, err)
	return parseDocument(data)
}

func TestHoldsAreToldAndTakenBack(t *testing.T) {
	t.Parallel()
	tl, self := newTold(), Holder{"s", "r"}
	d := &document{Origin: "o", Members: map[string]*documentMember{}}
	see := func(want map[string]int64) {
		tl.view.group("g", copied(t, d))
		require.Equal(t, want, tl.held)
	}
	require.NoError(t, d.add(Member{UID: "a", Holder: self, UntilUnbind: true}))
	require.NoError(t, d.add(Member{UID: "b", Holder: self}))
	see(map[string]int64{"a": 1})
	require.Error(t, d.add(Member{UID: "a", Holder: self, UntilUnbind: true}))
	require.Error(t, d.add(Member{UID: "b", Holder: self, UntilUnbind: true}))
	see(map[string]int64{"a": 3, "b": 4})
	require.Error(t, d.add(Member{UID: "a", Holder: Holder{"other", "r"}, UntilUnbind: true}))
	see(map[string]int64{"b": 4})
	for range keptNotes + 1 {
		require.NoError(t, d.add(Member{UID: "x"}))
		d.remove("x", noteLeft)
	}
	see(map[string]int64{"b": 4})
	d.end()
	see(map[string]int64{})
	require.Empty(t, tl.view.groups["g"].Notes, "what was told takes no room")
}

func TestTooManyChangesAreMissed(t *testing.T) {
	t.Parallel()
	var kinds []ChangeKind
	view := newJetStreamView(Holder{}, Sink{Change: func(c Change) { kinds = append(kinds, c.Kind) }})
	view.doubt = func(string) {}
	d := &document{Origin: "o", Members: map[string]*documentMember{}}
	require.NoError(t, d.add(Member{UID: "stays"}))
	require.NoError(t, d.add(Member{UID: "goes"}))
	view.group("g", copied(t, d))
	d.remove("goes", noteLeft)
	for range keptNotes {
		require.NoError(t, d.add(Member{UID: "x"}))
		d.remove("x", noteLeft)
	}
	view.group("g", copied(t, d))
	require.Equal(t, []ChangeKind{ChangeJoined, ChangeJoined, ChangeMissed, ChangeLeft}, kinds)
}

func TestJetStreamKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.String().Draw(r, "name")
		h := Holder{rapid.String().Draw(r, "server"), rapid.String().Draw(r, "run")}
		back, ok := splitGroupKey(groupKey(name))
		require.True(r, ok)
		require.Equal(r, name, back)
		holder, ok := splitServerKey(serverKey(h))
		require.True(r, ok)
		require.Equal(r, h, holder)
	})
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"o":"x","n":2,"m":{"ann":{"j":1},"bob":null},"c":[{"k":"j","u":"ann"},{"k":"c"}]}`), "g.cm9vbQ")
	f.Add([]byte(`{"n":-1,"c":[{"k":"e"}]}`), "s.YQ.Yg")
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		_, _ = splitGroupKey(key)
		_, _ = splitServerKey(key)
		d, again := parseDocument(data), parseDocument(data)
		tl := newTold()
		tl.view.group("g", nil)
		tl.view.group("g", d)
		tl.view.group("g", again)
		tl.view.group("g", nil)
		if len(tl.view.groups) != 0 {
			t.Fatal("something is left")
		}
	})
}
