package cereus_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/pipeline"
)

// rooms starts n servers of type room with a table each, and a caller that sees them.
func (w *world) rooms(n int, caller server) (*cereus.App, []*table) {
	w.t.Helper()
	tables := make([]*table, n)
	for i := range tables {
		tables[i] = &table{}
		w.start(server{kind: "room", id: fmt.Sprint("room-", i), game: func(app *cereus.App) {
			tables[i].app = app
			require.NoError(w.t, app.RegisterRemote(tables[i], component.WithName("table")))
		}})
	}
	app := w.start(caller)
	sees(w.t, app, "room", n)
	return app, tables
}

func TestCallsWithAKeyStayTogether(t *testing.T) {
	t.Parallel()
	app, _ := newWorld(t).rooms(3, server{kind: "match"})
	ctx := context.Background()
	used := make(map[string]bool)
	for key := range 30 {
		first := who(t, app, cereus.WithKey(fmt.Sprint(key)))
		used[first] = true
		require.Equal(t, first, who(t, app, cereus.WithKey(fmt.Sprint(key)), cereus.Idempotent()))
	}
	require.Len(t, used, 3)
	for name, opts := range map[string][]cereus.CallOption{
		"two places":   {cereus.WithKey("a"), cereus.To("room-1")},
		"two others":   {cereus.ToLeader(), cereus.To("room-1")},
		"no key":       {cereus.WithKey("")},
		"no id":        {cereus.To("")},
		"not for this": {cereus.Quorum(1)},
	} {
		require.ErrorIs(t, app.RPC(ctx, "room.table.who", nil, nil, opts...), errs.ErrBadRequest, name)
		require.ErrorIs(t, app.Notify(ctx, "room.table.who", nil, opts...), errs.ErrBadRequest, name)
	}
}

// who asks which server a call gets to.
func who(t *testing.T, app *cereus.App, opts ...cereus.CallOption) string {
	t.Helper()
	g, err := cereus.Call[Greeting](context.Background(), app, "room.table.who", &Greeting{}, opts...)
	require.NoError(t, err)
	return g.From
}

func TestCallsToTheLeader(t *testing.T) {
	t.Parallel()
	app, tables := newWorld(t).rooms(2, server{kind: "match"})
	until(t, "the rooms have a leader", func() bool {
		_, led := app.Discovery().Snapshot().Leader("room")
		return led
	})
	leader, _ := app.Discovery().Snapshot().Leader("room")
	for range 10 {
		require.Equal(t, leader.ID, who(t, app, cereus.ToLeader()))
	}
	err := app.RPC(context.Background(), "hall.table.who", nil, nil, cereus.ToLeader())
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.ErrorContains(t, err, "no leader")
	for _, b := range tables {
		if b.app.Server().ID == leader.ID {
			err := b.app.RPC(context.Background(), "room.table.who", nil, nil, cereus.ToLeader())
			require.ErrorContains(t, err, "leader itself")
		}
	}
}

func TestQuorum(t *testing.T) {
	t.Parallel()
	app, tables := newWorld(t).rooms(3, server{kind: "match"})
	ctx := context.Background()
	results, err := cereus.CallAll[Greeting](ctx, app, "room.table.who", &Greeting{}, cereus.Quorum(2))
	require.NoError(t, err)
	require.Len(t, results, 3)
	good := 0
	for i, r := range results {
		require.Equal(t, fmt.Sprint("room-", i), r.ServerID)
		require.Equal(t, r.Err == nil, r.Reply != nil)
		if r.Err == nil {
			good++
			continue
		}
		require.Equal(t, errs.CodeClosed, errs.CodeOf(r.Err))
	}
	require.Equal(t, 2, good)

	begin := time.Now()
	tables[2].slow.Store(true) // it answers when nobody waits for it any more
	results, err = cereus.CallAll[Greeting](ctx, app, "room.table.slow", &Greeting{}, cereus.Quorum(2), cereus.WithTimeout(10*time.Second))
	require.NoError(t, err)
	require.Error(t, results[2].Err)
	for i := range tables {
		tables[i].slow.Store(i > 0)
	}
	results, err = cereus.CallAll[Greeting](ctx, app, "room.table.halffull", &Greeting{}, cereus.Quorum(3))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.Equal(t, "3", errs.From(err).Metadata["quorum"])
	require.Len(t, results, 3)
	require.Less(t, time.Since(begin), 10*time.Second)

	_, err = cereus.CallAll[Greeting](ctx, app, "room.table.who", nil, cereus.Quorum(4))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	_, err = cereus.CallAll[Greeting](ctx, app, "room.table.who", nil, cereus.Quorum(0))
	require.ErrorIs(t, err, errs.ErrBadRequest)
	_, err = cereus.CallAll[Greeting](ctx, app, "room.table.who", nil, cereus.To("room-1"))
	require.ErrorIs(t, err, errs.ErrBadRequest)
	_, err = cereus.CallAll[Greeting](ctx, app, "table.who", nil)
	require.Error(t, err)
}

func TestCallEach(t *testing.T) {
	t.Parallel()
	app, tables := newWorld(t).rooms(3, server{kind: "match"})
	ctx := context.Background()
	tables[0].slow.Store(true)
	begin := time.Now()
	var came []string
	for r := range cereus.CallEach[Greeting](ctx, app, "room.table.slow", &Greeting{}, cereus.WithTimeout(10*time.Second)) {
		require.NoError(t, r.Err)
		came = append(came, r.ServerID)
		if len(came) == 2 {
			break // the slow one is cancelled
		}
	}
	require.ElementsMatch(t, []string{"room-1", "room-2"}, came)
	require.Less(t, time.Since(begin), 10*time.Second)
	for range 2 {
		for r := range cereus.CallEach[Greeting](ctx, app, "nowhere.table.slow", nil) {
			require.Empty(t, r.ServerID)
			require.ErrorIs(t, r.Err, errs.ErrNoServer)
		}
	}
	for r := range cereus.CallEach[Greeting](ctx, app, "room.table.who", nil, cereus.Quorum(1)) {
		require.ErrorIs(t, r.Err, errs.ErrBadRequest)
	}
	for r := range cereus.CallEach[bad](ctx, app, "room.table.who", &Greeting{}) {
		require.Equal(t, errs.CodeInternal, errs.CodeOf(r.Err), "a panic of the application's own type")
	}
}

// bad is a reply that cannot be read.
type bad struct{}

func (*bad) UnmarshalJSON([]byte) error { panic("unreadable") }

// Application code that ends its goroutine leaves nobody waiting.
func TestCallAllSurvivesGoexit(t *testing.T) {
	t.Parallel()
	exits := func(pipeline.Handler) pipeline.Handler {
		return func(context.Context, any) (any, error) {
			runtime.Goexit()
			return nil, nil
		}
	}
	app, _ := newWorld(t).rooms(2, server{kind: "match", opts: []cereus.Option{cereus.WithCallMiddleware(exits)}})
	done := make(chan []cereus.Result[Greeting], 1)
	go func() {
		results, _ := cereus.CallAll[Greeting](context.Background(), app, "room.table.who", nil)
		done <- results
	}()
	select {
	case results := <-done:
		require.Len(t, results, 2)
		for _, r := range results {
			require.Equal(t, errs.CodeInternal, errs.CodeOf(r.Err))
			require.Nil(t, r.Reply)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("CallAll waits for ever")
	}
}

func TestNotifyAll(t *testing.T) {
	t.Parallel()
	app, tables := newWorld(t).rooms(2, server{kind: "match"})
	ctx := context.Background()
	failed, err := app.NotifyAll(ctx, "room.table.note", []byte("to all"))
	require.NoError(t, err)
	require.Empty(t, failed)
	for _, b := range tables {
		until(t, "it was taken", func() bool { return len(b.noted()) == 1 })
	}
	failed, err = app.NotifyAll(ctx, "room.table.nothing", nil)
	require.NoError(t, err)
	require.Len(t, failed, 2)
	require.ErrorIs(t, failed["room-1"], errs.ErrRouteNotFound)
	require.EqualError(t, failed["room-1"], "room.table.nothing: route not found")
	_, err = app.NotifyAll(ctx, "table", nil)
	require.ErrorIs(t, err, errs.ErrInvalidRoute)
	require.EqualError(t, err, `"table" is not serverType.service.method: invalid route`)
	_, err = app.NotifyAll(ctx, "nowhere.table.note", nil)
	require.ErrorIs(t, err, errs.ErrNoServer)
	_, err = app.NotifyAll(ctx, "room.table.note", nil, cereus.WithKey("k"))
	require.ErrorIs(t, err, errs.ErrBadRequest)
	_, err = app.NotifyAll(ctx, "room.table.note", nil, cereus.Quorum(1))
	require.ErrorIs(t, err, errs.ErrBadRequest)
}

// calledKey is what a middleware leaves in the context.
type calledKey struct{}

func TestCallMiddleware(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	var behave atomic.Pointer[func(ctx context.Context, in any, next pipeline.Handler) (any, error)]
	observed := pipeline.Observe(func(ctx context.Context, _ time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, strings.TrimSpace(cereus.CalledRoute(ctx)+" "+string(errs.CodeOf(err))))
	})
	app, tables := newWorld(t).rooms(2, server{kind: "match", opts: []cereus.Option{
		cereus.WithCallMiddleware(observed, pipeline.Recover(pipeline.RecoverParams{}), func(next pipeline.Handler) pipeline.Handler {
			return func(ctx context.Context, in any) (any, error) {
				if b := behave.Load(); b != nil {
					return (*b)(ctx, in, next)
				}
				return next(ctx, in)
			}
		}),
	}})
	as := func(b func(ctx context.Context, in any, next pipeline.Handler) (any, error)) { behave.Store(&b) }
	ctx := context.Background()
	require.Empty(t, cereus.CalledRoute(ctx))
	var reply Greeting
	require.NoError(t, app.RPC(ctx, "room.table.who", &reply, &Greeting{Name: "a"}, cereus.To("room-1")))
	require.Equal(t, Greeting{Name: "a", From: "room-1"}, reply)
	require.NoError(t, app.Notify(ctx, "room.table.note", []byte("n"), cereus.To("room-0")))
	require.Equal(t, errs.Code("GAME-2"), errs.CodeOf(app.RPC(ctx, "room.table.refuse", nil, nil)))
	failed, err := app.NotifyAll(ctx, "room.table.note", []byte("all"))
	require.NoError(t, err)
	require.Empty(t, failed)
	results, err := cereus.CallAll[Greeting](ctx, app, "room.table.who", &Greeting{Name: "b"})
	require.NoError(t, err)
	require.Equal(t, "b", results[1].Reply.Name)
	mu.Lock()
	require.Equal(t, []string{
		"room.table.who", "room.table.note", "room.table.refuse GAME-2", "room.table.note", "room.table.note",
		"room.table.who", "room.table.who",
	}, seen)
	mu.Unlock()
	until(t, "the notes", func() bool { return len(tables[0].noted()) == 2 && len(tables[1].noted()) == 1 })

	as(func(ctx context.Context, in any, next pipeline.Handler) (any, error) {
		in.(*Greeting).Name += "!" //nolint:forcetypeassert // the test's own
		out, err := next(ctx, in)
		out.(*Greeting).From = "changed" //nolint:forcetypeassert // the test's own
		return out, err
	})
	require.NoError(t, app.RPC(ctx, "room.table.who", &reply, &Greeting{Name: "c"}))
	require.Equal(t, Greeting{Name: "c!", From: "changed"}, reply)

	as(func(context.Context, any, pipeline.Handler) (any, error) { return &Greeting{Name: "cached"}, nil })
	require.NoError(t, app.RPC(ctx, "room.table.who", &reply, nil))
	require.Equal(t, "cached", reply.Name)
	require.NoError(t, app.RPC(ctx, "room.table.who", nil, nil))
	as(func(context.Context, any, pipeline.Handler) (any, error) { return []byte("raw"), nil })
	var raw []byte
	require.NoError(t, app.RPC(ctx, "room.table.note", &raw, nil))
	require.Equal(t, "raw", string(raw))
	require.Equal(t, errs.CodeInternal, errs.CodeOf(app.RPC(ctx, "room.table.who", &reply, nil)))
	as(func(context.Context, any, pipeline.Handler) (any, error) { return nil, nil })
	require.NoError(t, app.RPC(ctx, "room.table.who", &reply, nil))
	as(func(context.Context, any, pipeline.Handler) (any, error) { panic("no call") })
	require.EqualError(t, app.RPC(ctx, "room.table.who", &reply, nil), "no call")
	as(func(context.Context, any, pipeline.Handler) (any, error) { return nil, errors.New("plain") })
	require.Equal(t, errs.CodeInternal, errs.CodeOf(app.RPC(ctx, "room.table.who", &reply, nil)))
	as(func(_ context.Context, in any, next pipeline.Handler) (any, error) {
		return next(context.Background(), in)
	})
	require.ErrorContains(t, app.RPC(ctx, "room.table.who", &reply, nil), "context")
	as(func(ctx context.Context, in any, next pipeline.Handler) (any, error) { return next(ctx, in) })
	err = app.RPC(ctx, "room.table.nothing", nil, nil)
	require.ErrorIs(t, err, errs.ErrRouteNotFound)
	require.True(t, cluster.IsRefused(err), "what is known of a failed call is not lost on the way")
	as(func(ctx context.Context, in any, next pipeline.Handler) (any, error) {
		return next(context.WithValue(ctx, calledKey{}, 1), in)
	})
	require.NoError(t, app.RPC(ctx, "room.table.who", &reply, &Greeting{}))
}

// Whoever is there is called, whatever its state is, and whoever is not reached is told of.
func TestCallsOfAllSkipNobody(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	app, tables := w.rooms(5, server{kind: "match"})
	for i, state := range []cluster.State{cluster.StateBusy, cluster.StatePaused, cluster.StateDraining} {
		require.NoError(t, tables[i].app.Discovery().Edit(ctx, cluster.Edit{State: state}))
		until(t, "the edit is seen", func() bool {
			s, _ := app.Discovery().Server(fmt.Sprint("room-", i))
			return s.State == state
		})
	}
	_, err := w.etcd().Put(ctx, w.prefix+"servers/room/room-x", `{"id":"room-x","type":"room","metadata":{},"frontend":false}`)
	require.NoError(t, err)
	until(t, "the one that is not reached is seen", func() bool {
		_, ok := app.Discovery().Server("room-x")
		return ok
	})
	for _, id := range []string{"room-4", "room-x"} {
		until(t, "it is suspect, until its next load report", func() bool {
			app.Discovery().Suspect(id)
			s, _ := app.Discovery().Server(id)
			return s.State == cluster.StateSuspect
		})
	}

	results, err := cereus.CallAll[Greeting](ctx, app, "room.table.who", &Greeting{})
	require.NoError(t, err)
	reached(t, results)
	_, err = cereus.CallAll[Greeting](ctx, app, "room.table.who", &Greeting{}, cereus.Quorum(6))
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.Equal(t, "6", errs.From(err).Metadata["servers"])

	results = slices.SortedFunc(cereus.CallEach[Greeting](ctx, app, "room.table.who", &Greeting{}),
		func(a, b cereus.Result[Greeting]) int { return strings.Compare(a.ServerID, b.ServerID) })
	reached(t, results)

	failed, err := app.NotifyAll(ctx, "room.table.note", []byte("to all"))
	require.NoError(t, err)
	require.Len(t, failed, 1)
	require.ErrorIs(t, failed["room-x"], errs.ErrUnavailable)
	for _, b := range tables {
		until(t, "it was taken", func() bool { return len(b.noted()) == 1 })
	}
}

// reached checks that room-0 to room-4 answered, and that room-x did not.
func reached(t *testing.T, results []cereus.Result[Greeting]) {
	t.Helper()
	require.Len(t, results, 6)
	for i, r := range results[:5] {
		require.Equal(t, fmt.Sprint("room-", i), r.ServerID)
		require.NoError(t, r.Err)
		require.Equal(t, r.ServerID, r.Reply.From)
	}
	require.Equal(t, "room-x", results[5].ServerID)
	require.ErrorIs(t, results[5].Err, errs.ErrUnavailable)
}
