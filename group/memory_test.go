package group_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/group"
)

func inMemory(_ testing.TB, self group.Holder) group.Store {
	return group.NewMemoryStore(group.MemoryParams{Self: self})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	contract(t, inMemory)
}

func TestMemoryTTLIsExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, ctx := group.New(group.NewMemoryStore(group.MemoryParams{})), t.Context()
		require.NoError(t, g.CreateWithTTL(ctx, "room", time.Minute))
		wait(59 * time.Second)
		require.NoError(t, g.RenewTTL(ctx, "room"))
		wait(time.Minute - 1)
		require.NoError(t, g.Add(ctx, "room", "ann"))
		wait(1)
		require.ErrorIs(t, g.Add(ctx, "room", "bob"), group.ErrNotFound)
		require.NoError(t, g.Create(ctx, "room"))
		n, err := g.Count(ctx, "room")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// wait lets the bubble's clock run.
func wait(d time.Duration) { <-time.After(d) }

func TestMembersAreListedOncePerChange(t *testing.T) {
	t.Parallel()
	g, ctx := group.New(group.NewMemoryStore(group.MemoryParams{})), t.Context()
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "ann"))
	first, err := g.Members(ctx, "room")
	require.NoError(t, err)
	second, err := g.Members(ctx, "room")
	require.NoError(t, err)
	require.Same(t, &first[0], &second[0])
}

func ExampleGroups() {
	ctx := context.Background()
	g := group.New(group.NewMemoryStore(group.MemoryParams{}))
	_ = g.Create(ctx, "room-1")
	_ = g.Add(ctx, "room-1", "bob")
	_ = g.Add(ctx, "room-1", "ann")
	members, err := g.Members(ctx, "room-1")
	fmt.Println(members, err)
	fmt.Println(g.Add(ctx, "room-2", "ann"))
	// Output:
	// [ann bob] <nil>
	// group not found
}

func ExampleGroups_CreateWithTTL() {
	ctx := context.Background()
	g := group.New(group.NewMemoryStore(group.MemoryParams{}))
	// A match that nobody renews for ten minutes is over.
	fmt.Println(g.CreateWithTTL(ctx, "match-1", 10*time.Minute))
	fmt.Println(g.RenewTTL(ctx, "match-1"))
	// Output:
	// <nil>
	// <nil>
}

func BenchmarkMemoryMembers(b *testing.B) {
	g, ctx := group.New(group.NewMemoryStore(group.MemoryParams{})), b.Context()
	require.NoError(b, g.Create(ctx, "room"))
	for i := range 1000 {
		require.NoError(b, g.Add(ctx, "room", fmt.Sprint("user-", i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = g.Members(ctx, "room")
	}
}
