package group_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
)

// freshStore returns an empty store, of the process that is self.
type freshStore func(t testing.TB, self group.Holder) group.Store

// contract is what every Store must do.
func contract(t *testing.T, fresh freshStore) {
	for name, test := range map[string]func(*testing.T, *group.Groups){
		"life":          contractLife,
		"members":       contractMembers,
		"missing group": contractMissing,
		"names":         contractNames,
		"neighbours":    contractNeighbours,
		"ttl":           contractTTL,
		"many members":  contractMany,
		"concurrency":   contractConcurrency,
		"create races":  contractCreateRaces,
		"delete races":  contractDeleteRaces,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, started(t, fresh(t, group.Holder{})))
		})
	}
	t.Run("model", func(t *testing.T) {
		t.Parallel()
		contractModel(t, started(t, fresh(t, group.Holder{})))
	})
	for name, test := range map[string]func(*testing.T, freshStore){
		"attributes":   contractAttributes,
		"listener":     contractListener,
		"server stops": contractServerStops,
		"unbind":       contractUnbind,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh)
		})
	}
}

// started is groups between Init and Shutdown.
func started(t testing.TB, store group.Store, opts ...group.Option) *group.Groups {
	t.Helper()
	g := group.New(store, opts...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, g.Init(ctx))
	t.Cleanup(func() { stop(t, g) })
	return g
}

func stop(t testing.TB, g *group.Groups) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, g.Shutdown(ctx))
}

func contractLife(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	require.NoError(t, g.Create(ctx, "room"))
	require.ErrorIs(t, g.Create(ctx, "room"), group.ErrExists)
	require.ErrorIs(t, g.CreateWithTTL(ctx, "room", time.Minute), group.ErrExists)
	members, err := g.Members(ctx, "room")
	require.NoError(t, err)
	require.Empty(t, members)
	require.NoError(t, g.Add(ctx, "room", "ann"))
	require.ErrorIs(t, g.RenewTTL(ctx, "room"), group.ErrNoTTL)
	require.NoError(t, g.Delete(ctx, "room"))
	require.ErrorIs(t, g.Delete(ctx, "room"), group.ErrNotFound)
	require.NoError(t, g.Create(ctx, "room"))
	n, err := g.Count(ctx, "room")
	require.NoError(t, err)
	require.Zero(t, n, "a new group is empty")
}

func contractMembers(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	require.NoError(t, g.Create(ctx, "room"))
	for _, uid := range []string{"bob", "ann", "a b", "zoë", "a/b", "a%2Fb", "100%"} {
		require.NoError(t, g.Add(ctx, "room", uid), uid)
		require.ErrorIs(t, g.Add(ctx, "room", uid), group.ErrMemberExists, uid)
		there, err := g.Contains(ctx, "room", uid)
		require.NoError(t, err)
		require.True(t, there, uid)
	}
	members, err := g.Members(ctx, "room")
	require.NoError(t, err)
	require.Equal(t, []string{"100%", "a b", "a%2Fb", "a/b", "ann", "bob", "zoë"}, members)
	n, err := g.Count(ctx, "room")
	require.NoError(t, err)
	require.Equal(t, 7, n)
	require.NoError(t, g.Remove(ctx, "room", "a/b"))
	require.ErrorIs(t, g.Remove(ctx, "room", "a/b"), group.ErrMemberNotFound)
	there, err := g.Contains(ctx, "room", "a/b")
	require.NoError(t, err)
	require.False(t, there)
	after, err := g.Members(ctx, "room")
	require.NoError(t, err)
	require.Len(t, after, 6)
	require.Len(t, members, 7, "a list that was returned does not change")
	require.NoError(t, g.RemoveAll(ctx, "room"))
	require.NoError(t, g.RemoveAll(ctx, "room"))
	members, err = g.Members(ctx, "room")
	require.NoError(t, err)
	require.Empty(t, members)
	require.NoError(t, g.Add(ctx, "room", "ann"))
}

func contractMissing(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	require.ErrorIs(t, g.Delete(ctx, "none"), group.ErrNotFound)
	require.ErrorIs(t, g.RenewTTL(ctx, "none"), group.ErrNotFound)
	require.ErrorIs(t, g.Add(ctx, "none", "ann"), group.ErrNotFound)
	require.ErrorIs(t, g.Remove(ctx, "none", "ann"), group.ErrNotFound)
	require.ErrorIs(t, g.RemoveAll(ctx, "none"), group.ErrNotFound)
	_, err := g.Contains(ctx, "none", "ann")
	require.ErrorIs(t, err, group.ErrNotFound)
	_, err = g.Members(ctx, "none")
	require.ErrorIs(t, err, group.ErrNotFound)
	n, err := g.Count(ctx, "none")
	require.NoError(t, err, "wire.md 12.2: Count does not check")
	require.Zero(t, n)
}

func contractNames(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	for _, name := range []string{"", "a\nb", "\x00", "\xff", strings.Repeat("x", group.MaxName+1)} {
		require.ErrorIs(t, g.Create(ctx, name), group.ErrIllegalName)
		require.ErrorIs(t, g.CreateWithTTL(ctx, name, time.Second), group.ErrIllegalName)
		require.ErrorIs(t, g.Delete(ctx, name), group.ErrIllegalName)
		require.ErrorIs(t, g.RenewTTL(ctx, name), group.ErrIllegalName)
		require.ErrorIs(t, g.Add(ctx, name, "ann"), group.ErrIllegalName)
		require.ErrorIs(t, g.Remove(ctx, name, "ann"), group.ErrIllegalName)
		require.ErrorIs(t, g.RemoveAll(ctx, name), group.ErrIllegalName)
		_, err := g.Members(ctx, name)
		require.ErrorIs(t, err, group.ErrIllegalName)
		_, err = g.Contains(ctx, name, "ann")
		require.ErrorIs(t, err, group.ErrIllegalName)
		_, err = g.Count(ctx, name)
		require.ErrorIs(t, err, group.ErrIllegalName)
	}
	require.NoError(t, g.Create(ctx, "room"))
	for _, uid := range []string{"", "a\nb", strings.Repeat("x", 129)} {
		require.ErrorIs(t, g.Add(ctx, "room", uid), errs.ErrIllegalUID)
		require.ErrorIs(t, g.Remove(ctx, "room", uid), errs.ErrIllegalUID)
		_, err := g.Contains(ctx, "room", uid)
		require.ErrorIs(t, err, errs.ErrIllegalUID)
	}
	require.ErrorIs(t, g.CreateWithTTL(ctx, "t", 0), group.ErrIllegalTTL)
	require.ErrorIs(t, g.CreateWithTTL(ctx, "t", -time.Second), group.ErrIllegalTTL)
	require.ErrorIs(t, g.CreateWithTTL(ctx, "t", group.MaxTTL+1), group.ErrIllegalTTL)
}

// Groups whose names, members or keys look like each other's stay apart.
func contractNeighbours(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	names := []string{"room", "room2", "room/uids", "room/uids/ann", "room%2Fuids", "room%252Fuids", "roo", "%", "/", "%2F", "%25"}
	for i, name := range names {
		require.NoError(t, g.Create(ctx, name), name)
		for n := range i {
			require.NoError(t, g.Add(ctx, name, fmt.Sprint("u", n)))
		}
	}
	for i, name := range names {
		n, err := g.Count(ctx, name)
		require.NoError(t, err)
		require.Equal(t, i, n, name)
	}
	require.NoError(t, g.RemoveAll(ctx, "room"))
	require.NoError(t, g.Delete(ctx, "room"))
	for i, name := range names[1:] {
		members, err := g.Members(ctx, name)
		require.NoError(t, err, name)
		require.Len(t, members, i+1, name)
	}
}

func contractTTL(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	require.NoError(t, g.CreateWithTTL(ctx, "long", time.Hour))
	require.NoError(t, g.RenewTTL(ctx, "long"))
	require.NoError(t, g.Create(ctx, "forever"))
	require.NoError(t, g.CreateWithTTL(ctx, "short", 5*time.Second))
	require.NoError(t, g.Add(ctx, "short", "ann"))
	require.NoError(t, g.Add(ctx, "forever", "ann"))
	require.Eventually(t, func() bool {
		_, err := g.Members(ctx, "short")
		return err != nil
	}, time.Minute, 50*time.Millisecond)
	_, err := g.Members(ctx, "short")
	require.ErrorIs(t, err, group.ErrNotFound)
	require.ErrorIs(t, g.RenewTTL(ctx, "short"), group.ErrNotFound)
	require.ErrorIs(t, g.Add(ctx, "short", "bob"), group.ErrNotFound)
	n, err := g.Count(ctx, "short")
	require.NoError(t, err)
	require.Zero(t, n, "members end with their group")
	require.NoError(t, g.Create(ctx, "short"), "the name is free again")
	members, err := g.Members(ctx, "short")
	require.NoError(t, err)
	require.Empty(t, members)
	for _, name := range []string{"long", "forever"} {
		_, err = g.Members(ctx, name)
		require.NoError(t, err)
	}
	require.NoError(t, g.Delete(ctx, "long"))
	require.NoError(t, g.Create(ctx, "long"))
	require.ErrorIs(t, g.RenewTTL(ctx, "long"), group.ErrNoTTL)
}

func contractMany(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	const n = 250 // several pages of the store under test
	require.NoError(t, g.Create(ctx, "crowd"))
	want := make([]string, n)
	var wg sync.WaitGroup
	for w := range 5 {
		wg.Go(func() {
			for i := w; i < n; i += 5 {
				want[i] = fmt.Sprintf("user-%03d", i)
				if err := g.Add(ctx, "crowd", want[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	members, err := g.Members(ctx, "crowd")
	require.NoError(t, err)
	require.Equal(t, want, members)
	count, err := g.Count(ctx, "crowd")
	require.NoError(t, err)
	require.Equal(t, n, count)
}

// Of many who add the same member one succeeds; the same for removing.
func contractConcurrency(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	require.NoError(t, g.Create(ctx, "room"))
	for round := range 5 {
		uid := fmt.Sprint("u", round)
		var added, removed atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if g.Add(ctx, "room", uid) == nil {
					added.Add(1)
				}
			})
		}
		wg.Wait()
		for range 4 {
			wg.Go(func() {
				if g.Remove(ctx, "room", uid) == nil {
					removed.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, added.Load())
		require.EqualValues(t, 1, removed.Load())
	}
}

func contractCreateRaces(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	var created atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			err := g.CreateWithTTL(ctx, "room", time.Duration(i+1)*time.Minute)
			if err == nil {
				created.Add(1)
			} else if errs.CodeOf(err) != errs.CodeConflict {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, created.Load())
	require.NoError(t, g.RenewTTL(ctx, "room"), "the losers took nothing with them")
}

// A group that is deleted and made again while others join: whoever was told
// that he is in the last one is in it, and nobody else.
func contractDeleteRaces(t *testing.T, g *group.Groups) {
	ctx := t.Context()
	require.NoError(t, g.Create(ctx, "room"))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				err := g.Add(ctx, "room", fmt.Sprintf("u%d-%d", w, i))
				if err != nil && errs.CodeOf(err) != errs.CodeNotFound {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 10 {
		require.NoError(t, g.Delete(ctx, "room"))
		n, err := g.Count(ctx, "room")
		require.NoError(t, err)
		require.Zero(t, n, "a deleted group has no members")
		if i%2 == 0 {
			require.NoError(t, g.CreateWithTTL(ctx, "room", time.Hour))
		} else {
			require.NoError(t, g.Create(ctx, "room"))
		}
	}
	close(stop)
	wg.Wait()
	members, err := g.Members(ctx, "room")
	require.NoError(t, err)
	require.NoError(t, g.Delete(ctx, "room"))
	require.True(t, slices.IsSorted(members))
}

func contractModel(t *testing.T, g *group.Groups) {
	all := []string{"a", "a/uids", "a/uids/u", "a%2Fuids"}
	rapid.Check(t, func(r *rapid.T) {
		ctx := context.Background()
		for _, name := range all {
			_ = g.Delete(ctx, name) // most are not there
		}
		model := map[string]map[string]bool{}
		names := rapid.SampledFrom(all)
		uids := rapid.SampledFrom([]string{"u", "u/u", "u%2Fu", "%25"})
		r.Repeat(map[string]func(*rapid.T){
			"create": func(r *rapid.T) {
				name := names.Draw(r, "name")
				require.Equal(r, model[name] != nil, g.Create(ctx, name) != nil)
				if model[name] == nil {
					model[name] = map[string]bool{}
				}
			},
			"delete": func(r *rapid.T) {
				name := names.Draw(r, "name")
				require.Equal(r, model[name] == nil, g.Delete(ctx, name) != nil)
				delete(model, name)
			},
			"clear": func(r *rapid.T) {
				name := names.Draw(r, "name")
				require.Equal(r, model[name] == nil, g.RemoveAll(ctx, name) != nil)
				clear(model[name])
			},
			"add": func(r *rapid.T) {
				name, uid := names.Draw(r, "name"), uids.Draw(r, "uid")
				err := g.Add(ctx, name, uid)
				require.Equal(r, model[name] == nil || model[name][uid], err != nil)
				if err == nil {
					model[name][uid] = true
				}
			},
			"remove": func(r *rapid.T) {
				name, uid := names.Draw(r, "name"), uids.Draw(r, "uid")
				require.Equal(r, !model[name][uid], g.Remove(ctx, name, uid) != nil)
				delete(model[name], uid)
			},
			"contains": func(r *rapid.T) {
				name, uid := names.Draw(r, "name"), uids.Draw(r, "uid")
				there, err := g.Contains(ctx, name, uid)
				require.Equal(r, model[name] == nil, err != nil)
				require.Equal(r, model[name][uid], there)
			},
			"members": func(r *rapid.T) {
				name := names.Draw(r, "name")
				members, err := g.Members(ctx, name)
				require.Equal(r, model[name] == nil, err != nil)
				require.Len(r, members, len(model[name]))
				for _, uid := range members {
					require.True(r, model[name][uid])
				}
				n, err := g.Count(ctx, name)
				require.NoError(r, err)
				require.Equal(r, len(members), n)
			},
		})
	})
}
