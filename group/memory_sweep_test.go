package group

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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
