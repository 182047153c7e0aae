package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

const long = 20 * time.Second

func untilDone(ctx context.Context) { <-ctx.Done() }

func stopped(t *testing.T, g *lifecycle.Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	require.NoError(t, g.Stop(ctx))
}

func expired(t *testing.T, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	return ctx
}

func TestStopWaitsForEveryGoroutine(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	var ended atomic.Int64
	for range 100 {
		require.True(t, g.Go("worker", func(ctx context.Context) {
			<-ctx.Done()
			runtime.Gosched()
			ended.Add(1)
		}))
	}
	require.Equal(t, 100, g.Running())
	stopped(t, g)
	require.EqualValues(t, 100, ended.Load())
	require.Zero(t, g.Running())
}

func TestEmptyGroupStopsAtOnce(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	require.NoError(t, g.Stop(expired(t, errors.New("no time"))), "nothing to wait for needs no time")
	stopped(t, g)
}

func TestGoAfterStopDoesNothing(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	stopped(t, g)
	require.False(t, g.Go("late", func(context.Context) { t.Error("ran in a stopped group") }))
	require.Zero(t, g.Running())
	stopped(t, g)
}

func TestGoFromAGoroutineOfAStoppingGroup(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	refused := make(chan bool, 1)
	g.Go("parent", func(ctx context.Context) {
		<-ctx.Done()
		refused <- !g.Go("child", untilDone)
	})
	stopped(t, g)
	require.True(t, <-refused)
}

func TestContextTellsWhyItEnded(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	require.NoError(t, g.Context().Err())
	seen := make(chan error, 1)
	g.Go("asks", func(ctx context.Context) {
		<-ctx.Done()
		seen <- context.Cause(ctx)
	})
	stopped(t, g)
	require.ErrorIs(t, <-seen, lifecycle.ErrStopped)
	require.ErrorIs(t, context.Cause(g.Context()), lifecycle.ErrStopped)
}

func TestParentContextEndsTheGoroutines(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancelCause(context.Background())
	g := lifecycle.NewGroup(parent)
	cause := errors.New("the app goes")
	seen := make(chan error, 1)
	g.Go("asks", func(ctx context.Context) {
		<-ctx.Done()
		seen <- context.Cause(ctx)
	})
	cancel(cause)
	require.ErrorIs(t, <-seen, cause)
	stopped(t, g)
}

func TestStopNamesWhatRuns(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	finish := make(chan struct{})
	stuck := func(context.Context) { <-finish }
	g.Go("reader", stuck)
	g.Go("writer", stuck)
	g.Go("reader", stuck)
	g.Go("obedient", func(context.Context) {})
	require.Eventually(t, func() bool { return g.Running() == 3 }, long, time.Millisecond)

	cause := errors.New("out of patience")
	err := g.Stop(expired(t, cause))
	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "still running: reader x2, writer x1: out of patience")
	require.Equal(t, 3, g.Running())

	close(finish)
	stopped(t, g)
}

func TestParallelStops(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	finish := make(chan struct{})
	var ended atomic.Bool
	g.Go("worker", func(context.Context) {
		<-finish
		ended.Store(true)
	})
	var stops sync.WaitGroup
	for range 10 {
		stops.Go(func() {
			if err := g.Stop(context.Background()); err != nil || !ended.Load() {
				t.Errorf("Stop returned %v before the worker did", err)
			}
		})
	}
	<-g.Context().Done()
	close(finish)
	stops.Wait()
}

func TestGoexitCountsAsReturn(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	g.Go("leaves", func(context.Context) { runtime.Goexit() })
	stopped(t, g)
}

// TestStress starts and stops groups from ten goroutines at once, fifty times:
// whatever Go accepted has returned when any Stop returns.
func TestStress(t *testing.T) {
	t.Parallel()
	for range 50 {
		g := lifecycle.NewGroup(context.Background())
		var accepted, returned atomic.Int64
		var users sync.WaitGroup
		for user := range 10 {
			users.Go(func() {
				for i := range 20 {
					fn := func(ctx context.Context) {
						defer returned.Add(1)
						if i%2 == 0 {
							<-ctx.Done()
						}
					}
					if g.Go("stress", fn) {
						accepted.Add(1)
					}
					if i == 10+user {
						if err := g.Stop(context.Background()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		users.Wait()
		stopped(t, g)
		require.Equal(t, accepted.Load(), returned.Load())
		require.Zero(t, g.Running())
	}
}

// TestStopNeverMissesAGoroutine looks for the race between Go and Stop itself:
// a goroutine that Go accepted is waited for, however close the two calls are.
func TestStopNeverMissesAGoroutine(t *testing.T) {
	t.Parallel()
	for range 2000 {
		g := lifecycle.NewGroup(context.Background())
		var running atomic.Int64
		ready := make(chan struct{})
		var user sync.WaitGroup
		user.Go(func() {
			<-ready
			g.Go("racer", func(context.Context) {
				running.Add(1)
				runtime.Gosched()
				running.Add(-1)
			})
		})
		close(ready)
		stopped(t, g)
		require.Zero(t, running.Load())
		user.Wait()
		stopped(t, g)
		require.Zero(t, running.Load())
	}
}

func TestGroupsAreIndependent(t *testing.T) {
	t.Parallel()
	parent := lifecycle.NewGroup(context.Background())
	child := lifecycle.NewGroup(parent.Context())
	child.Go("child", untilDone)
	parent.Go("stops the child", func(ctx context.Context) {
		<-ctx.Done()
		if err := child.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	stopped(t, parent)
	require.Zero(t, child.Running())
}

func BenchmarkGo(b *testing.B) {
	g := lifecycle.NewGroup(context.Background())
	b.ReportAllocs()
	for b.Loop() {
		g.Go("bench", func(context.Context) {})
	}
	require.NoError(b, g.Stop(context.Background()))
}

func ExampleGroup() {
	g := lifecycle.NewGroup(context.Background())
	lines := make(chan string)
	var got []string
	g.Go("consumer", func(ctx context.Context) {
		for {
			select {
			case line := <-lines:
				got = append(got, line)
			case <-ctx.Done():
				return
			}
		}
	})
	lines <- "one"
	if err := g.Stop(context.Background()); err == nil {
		fmt.Println(strings.Join(got, ","))
	}
	// Output: one
}
