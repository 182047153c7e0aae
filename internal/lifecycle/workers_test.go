package lifecycle_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

func stopGroup(t *testing.T, g *lifecycle.Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, g.Stop(ctx))
}

func TestWorkersDoEverythingOnce(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	var total atomic.Int64
	var done sync.WaitGroup
	w := lifecycle.NewWorkers(g, "add", func(_ context.Context, n int) {
		total.Add(int64(n))
		done.Done()
	})
	const callers, each = 8, 2000
	done.Add(callers * each)
	for range callers {
		g.Go("caller", func(context.Context) {
			for i := range each {
				w.Go(i)
			}
		})
	}
	done.Wait()
	require.EqualValues(t, callers*each*(each-1)/2, total.Load())
	stopGroup(t, g)
	require.Zero(t, g.Running())
}

func TestWorkersAreUsedAgain(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	defer stopGroup(t, g)
	done := make(chan struct{})
	w := lifecycle.NewWorkers(g, "signal", func(context.Context, struct{}) { done <- struct{}{} })
	for range 10_000 {
		require.True(t, w.Go(struct{}{}))
		<-done
	}
	require.LessOrEqual(t, g.Running(), 128)
}

func TestWorkersNeverWaitForEachOther(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	defer stopGroup(t, g)
	const many = 500 // more than are kept
	var inside sync.WaitGroup
	inside.Add(many)
	w := lifecycle.NewWorkers(g, "meet", func(context.Context, int) {
		inside.Done()
		inside.Wait()
	})
	for i := range many {
		require.True(t, w.Go(i))
	}
	inside.Wait()
}

func TestWorkersSurviveGoexit(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	defer stopGroup(t, g)
	done := make(chan bool)
	w := lifecycle.NewWorkers(g, "exit", func(_ context.Context, exit bool) {
		defer func() { done <- exit }()
		if exit {
			runtime.Goexit()
		}
	})
	for i := range 100 {
		exit := i%2 == 0
		require.True(t, w.Go(exit))
		require.Equal(t, exit, <-done)
	}
}

func TestWorkersOfAStoppedGroup(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	w := lifecycle.NewWorkers(g, "never", func(context.Context, int) { t.Error("ran") })
	stopGroup(t, g)
	require.False(t, w.Go(1))
}

func BenchmarkWorkers(b *testing.B) {
	deep := func(n int) byte { var room [4096]byte; room[n] = 1; return room[n/2] }
	b.Run("workers", func(b *testing.B) {
		g := lifecycle.NewGroup(context.Background())
		done := make(chan struct{}, 1)
		w := lifecycle.NewWorkers(g, "work", func(_ context.Context, n int) { deep(n & 4095); done <- struct{}{} })
		for i := range b.N {
			w.Go(i)
			<-done
		}
		_ = g.Stop(context.Background())
	})
	b.Run("goroutines", func(b *testing.B) {
		g := lifecycle.NewGroup(context.Background())
		done := make(chan struct{}, 1)
		for i := range b.N {
			g.Go("work", func(context.Context) { deep(i & 4095); done <- struct{}{} })
			<-done
		}
		_ = g.Stop(context.Background())
	})
}

func TestWorkersDoABurstWithFewGoroutines(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	defer stopGroup(t, g)
	const burst = 5000 // more than are kept, and than an empty queue keeps room for
	var done sync.WaitGroup
	w := lifecycle.NewWorkers(g, "burst", func(context.Context, int) { done.Done() })
	for range 5 {
		done.Add(burst)
		for i := range burst {
			require.True(t, w.Go(i))
		}
		done.Wait()
	}
	require.LessOrEqual(t, g.Running(), 128)
}

// What was accepted is done in a group that is stopping, also when a piece of it
// waits for another.
func TestWorkersEndWhatTheyAccepted(t *testing.T) {
	t.Parallel()
	for range 50 {
		g := lifecycle.NewGroup(context.Background())
		const many = 100
		var accepted, inside atomic.Int64
		all := make(chan struct{})
		w := lifecycle.NewWorkers(g, "meet", func(context.Context, int) {
			inside.Add(1)
			<-all
		})
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for range many {
				if w.Go(1) {
					accepted.Add(1)
				}
			}
		}()
		ended := make(chan error, 1)
		go func() { ended <- g.Stop(context.Background()) }()
		<-stopped
		require.Eventually(t, func() bool { return inside.Load() == accepted.Load() }, 20*time.Second, time.Millisecond)
		close(all)
		require.NoError(t, <-ended)
	}
}
