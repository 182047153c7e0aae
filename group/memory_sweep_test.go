package group

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// A group that takes the name of one that is being deleted does not mix with it.
func TestADeletedGroupEndsBeforeTheNextOfItsName(t *testing.T) {
	t.Parallel()
	m, ctx := NewMemoryStore(MemoryParams{}), t.Context()
	there := map[string]bool{}
	faults := 0
	require.NoError(t, m.Start(ctx, Sink{Change: func(c Change) {
		if joined := c.Kind == ChangeJoined; there[c.Member.UID] == joined {
			faults++
		} else {
			there[c.Member.UID] = joined
		}
	}}))
	var both errgroup.Group
	for range 2 {
		both.Go(func() error {
			for range 500 {
				_ = m.Create(ctx, "room", 0)
				for i := range 20 {
					_ = m.Add(ctx, "room", Member{UID: fmt.Sprint("u", i)})
				}
				_ = m.Delete(ctx, "room")
			}
			return nil
		})
	}
	require.NoError(t, both.Wait())
	require.NoError(t, m.Stop(ctx))
	require.Zero(t, faults)
}

func TestEndedGroupsAreFreed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMemoryStore(MemoryParams{Tick: time.Minute})
		require.NoError(t, m.Create(t.Context(), "short", time.Second))
		require.NoError(t, m.Create(t.Context(), "long", time.Hour))
		<-time.After(59 * time.Second)
		require.NoError(t, m.Create(t.Context(), "a", 0))
		require.Len(t, m.groups, 3)
		<-time.After(time.Second)
		require.NoError(t, m.Create(t.Context(), "b", 0))
		require.Len(t, m.groups, 3, "short is gone")
		require.NotContains(t, m.groups, "short")
	})
}

// The clock looks at every group: one that ends later than others does not wake it.
func TestOnlyAnEarlierEndWakesTheClock(t *testing.T) {
	t.Parallel()
	m := NewMemoryStore(MemoryParams{})
	m.looksAt(time.Now().Add(time.Minute))
	require.NoError(t, m.Create(t.Context(), "later", time.Hour))
	require.NoError(t, m.Create(t.Context(), "never", 0))
	require.Empty(t, m.wake)
	require.NoError(t, m.Create(t.Context(), "sooner", time.Second))
	require.Len(t, m.wake, 1)
}
