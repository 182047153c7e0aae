package ratelimit_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cereus-game/cereus/internal/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestZeroIsNoLimit(t *testing.T) {
	t.Parallel()
	require.False(t, ratelimit.Rate{}.Limits())
	require.False(t, ratelimit.Rate{N: 1}.Limits())
	require.True(t, ratelimit.Rate{N: 1, Per: time.Second}.Limits())
}

func TestKeysHaveTheirOwnTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := ratelimit.New[string](ratelimit.Rate{N: 2, Per: time.Second})
		for range 2 {
			require.True(t, table.Allow("a"))
		}
		require.False(t, table.Allow("a"))
		require.True(t, table.Allow("b"))
		<-time.After(500 * time.Millisecond)
		require.True(t, table.Allow("a"))
		require.False(t, table.Allow("a"))
	})
}

// TestTokensOutliveTheirHolder: to leave and come back gives nobody new tokens.
func TestTokensOutliveTheirHolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := ratelimit.New[string](ratelimit.Rate{N: 1, Per: time.Second})
		require.True(t, table.Hold("a").Allow())
		table.Release("a")
		table.Release("a") // once too often
		table.Release("nobody")
		table.Sweep()
		require.False(t, table.Hold("a").Allow())
		<-time.After(time.Hour)
		table.Sweep()
		require.Equal(t, 1, table.Len(), "it is held")
		table.Release("a")
		<-time.After(time.Second)
		table.Sweep()
		require.Zero(t, table.Len())
	})
}

func TestKeysCannotFillTheMemory(t *testing.T) {
	t.Parallel()
	table := ratelimit.New[int](ratelimit.Rate{N: 1, Per: time.Hour})
	held := table.Hold(-1)
	require.True(t, held.Allow())
	for key := range 200_000 {
		require.True(t, table.Allow(key))
	}
	require.LessOrEqual(t, table.Len(), 64<<10+17)
	require.False(t, table.Allow(199_999), "the latest are remembered")
	require.False(t, table.Hold(-1).Allow())
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	table := ratelimit.New[int](ratelimit.Rate{N: 1, Per: time.Microsecond})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				key := rand.IntN(50)
				table.Hold(key).Allow()
				table.Allow(rand.IntN(50))
				table.Release(key)
			}
			table.Sweep()
		})
	}
	all.Wait()
	require.Eventually(t, func() bool { table.Sweep(); return table.Len() == 0 }, 10*time.Second, time.Millisecond)
}
