package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrStopped is the cancel cause of the context of a Group that was stopped.
var ErrStopped = errors.New("lifecycle: stopped")

// stopping is the lowest bit of Group.state; the other bits count goroutines.
const stopping = 1

// Group owns a set of goroutines. Use NewGroup.
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	state atomic.Int64 // 2 x running goroutines, plus the stopping bit
	idle  chan struct{}
	once  sync.Once
	names sync.Map // string -> *atomic.Int64, goroutines running under a name
}

// NewGroup returns an empty group whose goroutines' context is a child of ctx.
// The group must be stopped, also when nothing was started in it.
func NewGroup(ctx context.Context) *Group {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{ctx: ctx, cancel: cancel, idle: make(chan struct{})}
}

// Context is cancelled, with cause ErrStopped, as soon as Stop is called.
func (g *Group) Context() context.Context { return g.ctx }

// Go runs fn in a new goroutine and reports true. In a group that is stopping
// it does nothing and reports false. fn must return soon after its context is
// done. name is a constant; Stop uses it to say what did not end.
func (g *Group) Go(name string, fn func(ctx context.Context)) bool {
	if g.state.Add(2)&stopping != 0 {
		g.release()
		return false
	}
	g.start(name, fn)
	return true
}

// another is Go for a goroutine of the group that needs a second one to end its
// work, also while the group is stopping.
func (g *Group) another(name string, fn func(ctx context.Context)) {
	g.state.Add(2)
	g.start(name, fn)
}

func (g *Group) start(name string, fn func(ctx context.Context)) {
	running := g.counter(name)
	running.Add(1)
	go func() {
		defer g.release()
		defer running.Add(-1)
		fn(g.ctx)
	}()
}

// Running is the number of goroutines that have not returned.
func (g *Group) Running() int { return int(g.state.Load() >> 1) }

// Stop cancels the group's context and waits until every goroutine returned.
// It may be called any number of times, from any goroutine but the group's own.
// When ctx ends first, the error names what still runs.
func (g *Group) Stop(ctx context.Context) error {
	if old := g.state.Or(stopping); old>>1 == 0 {
		g.once.Do(func() { close(g.idle) })
	}
	g.cancel(ErrStopped)
	select {
	case <-g.idle:
		return nil
	default:
	}
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("still running: %s: %w", g.running(), context.Cause(ctx))
	}
}

func (g *Group) release() {
	if g.state.Add(-2) == stopping {
		g.once.Do(func() { close(g.idle) })
	}
}

func (g *Group) counter(name string) *atomic.Int64 {
	if c, ok := g.names.Load(name); ok {
		return c.(*atomic.Int64)
	}
	c, _ := g.names.LoadOrStore(name, new(atomic.Int64))
	return c.(*atomic.Int64)
}

func (g *Group) running() string {
	var names []string
	g.names.Range(func(name, count any) bool {
		if n := count.(*atomic.Int64).Load(); n > 0 {
			names = append(names, fmt.Sprintf("%s x%d", name, n))
		}
		return true
	})
	sort.Strings(names)
	return strings.Join(names, ", ")
}
