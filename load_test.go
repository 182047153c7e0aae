package cereus_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/embedded"
)

// telling has a server tell its load so often.
func telling(interval time.Duration) []change {
	return []change{func(c *config.Config) { c.Cluster.Load.Interval = interval }}
}

// value registers a load value.
func value(t testing.TB, app *cereus.App, name string, fn func() float64) {
	t.Helper()
	require.NoError(t, app.RegisterLoad(name, fn))
}

// knowsLoad waits until app knows the load of another and it is as wanted.
func knowsLoad(t testing.TB, app, of *cereus.App, wanted func(cluster.Load) bool) {
	t.Helper()
	until(t, app.Server().ID+" knows the load of "+of.Server().ID, func() bool {
		load, ok := app.Load(of.Server().ID)
		return ok && wanted(load)
	})
}

// TestLoadIsToldToTheCluster: over NATS, with a game's values; etcd hears nothing of it.
func TestLoadIsToldToTheCluster(t *testing.T) {
	t.Parallel()
	infra, err := embedded.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(context.Background())) })
	w := worldOn(t, infra)
	room := w.start(server{kind: "room", id: "room-1", config: telling(100 * time.Millisecond), game: func(app *cereus.App) {
		value(t, app, "matches", func() float64 { return 12.5 })
	}})
	front := w.start(server{kind: "gate", id: "front-1", front: true, config: telling(100 * time.Millisecond)})
	require.Contains(t, room.Server().Caps, constants.CapLoad)
	dial(t, front)
	dial(t, front)
	knowsLoad(t, front, room, func(l cluster.Load) bool { return l.Values["matches"] == 12.5 && l.Goroutines > 0 && l.Memory > 1<<20 })
	knowsLoad(t, room, front, func(l cluster.Load) bool { return l.Sessions == 2 && l.Values == nil })
	knowsLoad(t, front, front, func(l cluster.Load) bool { return l.Sessions == 2 })
	_, ok := front.Load("nobody")
	require.False(t, ok)

	revision := func() int64 {
		got, err := w.etcd().Get(t.Context(), "no such key")
		require.NoError(t, err)
		return got.Header.Revision
	}
	until(t, "both types have a leader", func() bool {
		_, gate := front.Discovery().Leader(front.Server().Type)
		_, hall := front.Discovery().Leader(room.Server().Type)
		return gate && hall
	})
	before, heard := revision(), metric(t, front, "cereus_load_reports_total", "outcome", "heard")
	counts(t, front, heard+10, "cereus_load_reports_total", "outcome", "heard")
	require.Equal(t, before, revision())
	require.Zero(t, metric(t, front, "cereus_load_reports_total", "outcome", "malformed"))
	require.Positive(t, metric(t, room, "cereus_load_memory_bytes"))

	end(t, room)
	until(t, "who left has no load", func() bool { _, ok := front.Load("room-1"); return !ok })
	_, ok = front.Load("front-1")
	require.True(t, ok)
}

// waiting is a game of handlers and remotes that wait for a gate.
type waiting struct {
	gate    chan struct{}
	running atomic.Int64
}

func (w *waiting) Routes(r *component.Routes) {
	component.HandleRaw(r, "wait", w.wait)
	component.RemoteRaw(r, "call", w.wait)
}

func (w *waiting) wait(context.Context, []byte) ([]byte, error) {
	w.running.Add(1)
	defer w.running.Add(-1)
	<-w.gate
	return done(nil)
}

// TestLoadInFlight: forwards, calls and notifies of others, and one's own
// players' requests, running and waiting.
func TestLoadInFlight(t *testing.T) {
	t.Parallel()
	w, g := newWorld(t), &waiting{gate: make(chan struct{})}
	game := func(app *cereus.App) {
		require.NoError(t, app.Register(g, component.WithName("hall")))
		require.NoError(t, app.RegisterRemote(g, component.WithName("desk")))
	}
	room := w.start(server{kind: "room", config: telling(100 * time.Millisecond), game: game})
	front := w.start(server{kind: "gate", front: true, config: telling(100 * time.Millisecond), game: game})
	sees(t, front, "room", 1)
	asked := make(chan error, 7)
	local, forwarded := dial(t, front), dial(t, front)
	for range 3 {
		go func() { _, err := forwarded.ask("room.hall.wait", ""); asked <- err }() // one runs, two wait in its mailbox
	}
	for range 2 {
		go func() { _, err := local.ask("hall.wait", ""); asked <- err }() // one runs, one waits
	}
	for range 2 {
		go func() { asked <- front.RPC(context.Background(), "room.desk.call", nil, nil) }()
	}
	require.NoError(t, front.Notify(context.Background(), "room.desk.call", nil))
	inFlight := func(n int) func(cluster.Load) bool {
		return func(l cluster.Load) bool { return l.InFlight == n }
	}
	knowsLoad(t, front, room, inFlight(6))
	knowsLoad(t, room, front, inFlight(2))
	until(t, "five of them run", func() bool { return g.running.Load() == 5 })
	close(g.gate)
	for range cap(asked) {
		require.NoError(t, <-asked)
	}
	knowsLoad(t, front, room, inFlight(0))
	knowsLoad(t, room, front, inFlight(0))
}

// TestLoadOff: no interval, no reports, and nobody is promised any.
func TestLoadOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	silent := w.start(server{kind: "room", config: telling(0)})
	teller := w.start(server{kind: "match", config: telling(100 * time.Millisecond)})
	require.NotContains(t, silent.Server().Caps, constants.CapLoad)
	knowsLoad(t, silent, teller, func(cluster.Load) bool { return true })
	counts(t, teller, 5, "cereus_load_reports_total", "outcome", "sent")
	require.Zero(t, metric(t, teller, "cereus_load_reports_total", "outcome", "heard"))
	require.Zero(t, metric(t, silent, "cereus_load_reports_total", "outcome", "sent"))
	_, ok := teller.Load(silent.Server().ID)
	require.False(t, ok)
	_, ok = silent.Load(silent.Server().ID)
	require.False(t, ok)
}

// TestLoadValuesThatFail: are left out, are logged once, and come back.
func TestLoadValuesThatFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log, hook := test.NewNullLogger()
	var broken atomic.Bool
	broken.Store(true)
	app := w.start(server{
		kind: "room", config: telling(100 * time.Millisecond), opts: []cereus.Option{cereus.WithLogger(log)},
		game: func(app *cereus.App) {
			value(t, app, "panics", func() float64 {
				if broken.Load() {
					panic("no such match")
				}
				return 1
			})
			value(t, app, "nan", func() float64 { return math.NaN() })
			value(t, app, "fine", func() float64 { return 3 })
		},
	})
	counts(t, app, 5, "cereus_load_reports_total", "outcome", "sent")
	load, _ := app.Load(app.Server().ID)
	require.Equal(t, map[string]float64{"fine": 3}, load.Values)
	complaints := slices.DeleteFunc(hook.AllEntries(), func(e *logrus.Entry) bool {
		return !strings.HasPrefix(e.Message, "a load value failed")
	})
	require.Len(t, complaints, 2, "one each")
	counts(t, app, 4, "cereus_panics_total", "where", "load value")
	broken.Store(false)
	knowsLoad(t, app, app, func(l cluster.Load) bool { return l.Values["panics"] == 1 })
}

func TestRegisterLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.build(server{kind: "room"})
	one := func() float64 { return 1 }
	require.NoError(t, app.RegisterLoad("a", one))
	require.ErrorContains(t, app.RegisterLoad("a", one), `two load values are named "a"`)
	require.ErrorContains(t, app.RegisterLoad("", one), "use 1 to 64")
	require.ErrorContains(t, app.RegisterLoad("a b", one), "use 1 to 64")
	require.ErrorContains(t, app.RegisterLoad("b", nil), "pass a function")
	for i := range cluster.MaxLoadValues - 1 {
		require.NoError(t, app.RegisterLoad(strings.Repeat("x", i+1), one))
	}
	require.ErrorContains(t, app.RegisterLoad("b", one), "there are 64 already")
	begin(t, app)
	require.ErrorIs(t, app.RegisterLoad("c", one), cereus.ErrStarted)
	knowsLoad(t, app, app, func(l cluster.Load) bool { return len(l.Values) == cluster.MaxLoadValues })

	alone := standalone(t, server{})
	_, ok := alone.Load(alone.Server().ID)
	require.False(t, ok)
}
