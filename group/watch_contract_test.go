package group_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
)

var gate = group.Holder{Server: "gate-1", Run: "run-1"}

func contractListener(t *testing.T, fresh freshStore) {
	g, ctx := started(t, fresh(t, gate)), t.Context()
	e := listen(t, g)
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "ann"))
	require.Error(t, g.Add(ctx, "room", "ann"))
	require.NoError(t, g.Add(ctx, "room", "bob", group.HeldBy(gate)))
	require.ErrorIs(t, g.Add(ctx, "room", "bob", group.HeldBy(gate)), group.ErrMemberExists)
	require.NoError(t, g.SetAttributes(ctx, "room", "ann", map[string]string{"a": "b"}))
	require.NoError(t, g.Remove(ctx, "room", "ann"))
	require.NoError(t, g.Add(ctx, "room", "ann"))
	require.NoError(t, g.RemoveAll(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "cid"))
	require.NoError(t, g.Delete(ctx, "room"))
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "cid"))
	first := []string{
		"room +ann", "room +bob", "room -ann (left)", "room +ann", "room -ann (left)", "room -bob (left)",
		"room +cid", "room -cid (group ended)", "room +cid",
	}
	e.hears(t, first...)

	require.NoError(t, g.CreateWithTTL(ctx, "match", 2*time.Second))
	require.NoError(t, g.Add(ctx, "match", "ann", group.HeldBy(gate)))
	require.NoError(t, g.Add(ctx, "match", "bob"))
	ends := []string{"match +ann", "match +bob", "match -ann (group ended)", "match -bob (group ended)"}
	require.Eventually(t, func() bool { return len(e.all()) == len(first)+4 }, patience, 10*time.Millisecond)
	require.ElementsMatch(t, ends, e.all()[len(first):], "in whatever order, they end at once")
	require.NoError(t, g.Create(ctx, "match"))
	members, err := g.Members(ctx, "match")
	require.NoError(t, err)
	require.Empty(t, members)
}

func contractServerStops(t *testing.T, fresh freshStore) {
	store, ctx := fresh(t, gate), t.Context()
	g := started(t, store)
	e := listen(t, g)
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "ann"))
	require.NoError(t, g.Add(ctx, "room", "bob", group.HeldBy(gate)))
	e.hears(t, "room +ann", "room +bob")
	stop(t, g)
	stop(t, g)
	require.Error(t, g.Init(ctx), "once")
	_, err := g.Watch(ctx, e)
	require.ErrorIs(t, err, group.ErrNotRunning)
}

func contractUnbind(t *testing.T, fresh freshStore) {
	var bound bounds
	g, ctx := started(t, fresh(t, gate), group.WithBound(bound.has)), t.Context()
	names := []string{"room", "a/b", "c"}
	bound.Store("ann", true)
	bound.Store("bob", true)
	for _, name := range names {
		require.NoError(t, g.Create(ctx, name))
		require.NoError(t, g.Add(ctx, name, "ann", group.UntilUnbind(gate)))
		require.NoError(t, g.Add(ctx, name, "bob", group.UntilUnbind(gate)))
		require.NoError(t, g.Add(ctx, name, "cid", group.HeldBy(gate)))
	}
	require.NoError(t, g.Remove(ctx, "c", "ann"))
	require.NoError(t, g.Add(ctx, "c", "ann"), "not until the unbind any more")
	g.Unbound("ann") // has another session
	g.Unbound("bob")
	g.Unbound("nobody")
	bound.Delete("ann")
	g.Unbound("ann")
	require.Eventually(t, func() bool {
		n := 0
		for _, name := range names {
			count, err := g.Count(ctx, name)
			require.NoError(t, err)
			n += count
		}
		return n == 7
	}, patience, 10*time.Millisecond)
	members, err := g.Members(ctx, "room")
	require.NoError(t, err)
	require.Equal(t, []string{"bob", "cid"}, members)

	// Who is added when he has gone leaves at once.
	require.NoError(t, g.Add(ctx, "room", "late", group.UntilUnbind(gate)))
	require.Eventually(t, func() bool {
		there, err := g.Contains(ctx, "room", "late")
		return err == nil && !there
	}, patience, 10*time.Millisecond)
}

// Members come and go while a broadcast reads them: each member of that moment
// is read once, and nobody who was not there all the time is required.
func contractBroadcast(t *testing.T, fresh freshStore) {
	g := started(t, fresh(t, gate))
	rapid.Check(t, func(r *rapid.T) {
		ctx := context.Background()
		_ = g.Delete(ctx, "room") // the first time it is not there
		require.NoError(r, g.Create(ctx, "room"))
		stays := rapid.SliceOfNDistinct(rapid.StringMatching(`s[0-9]{1,2}`), 0, 8, rapid.ID).Draw(r, "stay")
		moves := rapid.SliceOfN(rapid.StringMatching(`m[0-3]`), 1, 8).Draw(r, "moves")
		for _, uid := range stays {
			require.NoError(r, g.Add(ctx, "room", uid))
		}
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				for i, uid := range moves {
					if (i+w)%2 == 0 {
						_ = g.Add(ctx, "room", uid, group.HeldBy(gate)) // twice is refused
					} else {
						_ = g.Remove(ctx, "room", uid) // perhaps not there
					}
				}
			})
		}
		for range 5 {
			members, err := g.Members(ctx, "room")
			require.NoError(r, err)
			require.Len(r, slices.Compact(slices.Clone(members)), len(members), "nobody twice")
			for _, uid := range stays {
				require.Contains(r, members, uid)
			}
		}
		wg.Wait()
	})
}

// The ttl of a group runs out while users join: an Add that was acknowledged
// was in the group at a moment before its end, so a listener hears of it.
func contractEndDuringJoins(t *testing.T, fresh freshStore) {
	g, ctx := started(t, fresh(t, gate)), t.Context()
	e := listen(t, g)
	require.NoError(t, g.CreateWithTTL(ctx, "room", 2*time.Second))
	var mu sync.Mutex // guards want
	want := map[string]int{}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				uid := fmt.Sprintf("%d-%d", w, i)
				err := g.Add(ctx, "room", uid)
				if errs.CodeOf(err) == errs.CodeNotFound {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want["room +"+uid]++
				mu.Unlock()
				if w%2 == 0 { // so that the group does not grow endlessly
					_ = g.Remove(ctx, "room", uid) // or it ended
				} else {
					pauseFor(20 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	n, err := g.Count(ctx, "room")
	require.NoError(t, err)
	require.Zero(t, n)
	var counts map[string]int
	require.Eventually(t, func() bool {
		counts = map[string]int{}
		there := map[string]bool{}
		for _, text := range e.all() {
			name, what := heard(text)
			counts[name+" "+what]++
			there[what[1:]] = what[0] == '+'
		}
		for uid, is := range there {
			if is && want["room +"+uid] > 0 {
				return false // not told yet that it left
			}
		}
		return true
	}, patience, 50*time.Millisecond)
	require.NotContains(t, e.all(), "missed")
	for join := range want {
		require.Equal(t, 1, counts[join], join)
	}
}

// heard takes apart what an ear noted: the group, and the uid with its sign.
func heard(text string) (name, what string) {
	parts := strings.Fields(text + " ? ?")
	return parts[0], parts[1]
}

func pauseFor(d time.Duration) { <-time.After(d) }

// What a listener hears, and what the store says, are the same history.
func contractListenerModel(t *testing.T, fresh freshStore) {
	g, ctx := started(t, fresh(t, gate)), t.Context()
	e := listen(t, g)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards joins, leaves
	joins, leaves := map[string]int{}, map[string]int{}
	for _, name := range []string{"a", "b"} {
		require.NoError(t, g.Create(ctx, name))
		for w := range 3 {
			wg.Go(func() {
				for i := range 30 {
					uid := fmt.Sprint("u", (i*7+w)%4)
					did, err := joins, g.Add(ctx, name, uid, group.HeldBy(gate))
					if err != nil {
						did, err = leaves, g.Remove(ctx, name, uid)
					}
					if err == nil {
						mu.Lock()
						did[name+" "+uid]++
						mu.Unlock()
					}
				}
			})
		}
	}
	wg.Wait()
	total := 0
	for _, n := range slices.Collect(maps.Values(joins)) {
		total += n
	}
	for _, n := range slices.Collect(maps.Values(leaves)) {
		total += n
	}
	require.Eventually(t, func() bool { return len(e.all()) >= total }, patience, 10*time.Millisecond)
	require.Len(t, e.all(), total)
	there := map[string]bool{}
	for _, text := range e.all() {
		name, what := heard(text)
		id, came := name+" "+what[1:], what[0] == '+'
		require.Equal(t, !came, there[id], "%s after %v", text, there[id])
		there[id] = came
		if came {
			joins[id]--
		} else {
			leaves[id]--
		}
	}
	for id, n := range joins {
		require.Zero(t, n, id)
	}
	for id, n := range leaves {
		require.Zero(t, n, id)
	}
	for _, name := range []string{"a", "b"} {
		members, err := g.Members(ctx, name)
		require.NoError(t, err)
		for _, uid := range members {
			require.True(t, there[name+" "+uid])
			delete(there, name+" "+uid)
		}
	}
	require.NotContains(t, slices.Collect(maps.Values(there)), true)
}
