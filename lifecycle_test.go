package cereus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/loopback"
)

// diary records what happens, in order.
type diary struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (d *diary) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// hooks is a module, and a component, that writes a diary and fails, or panics,
// where it is told to.
type hooks struct {
	name  string
	diary *diary
	fail  string
	panic string
}

func (h *hooks) Name() string { return h.name }

func (h *hooks) Init(context.Context) error { return h.at("init") }

func (h *hooks) AfterInit(context.Context) error { return h.at("after init") }

func (h *hooks) BeforeShutdown(context.Context) { _ = h.at("before shutdown") }

func (h *hooks) Shutdown(context.Context) error { return h.at("shutdown") }

func (h *hooks) Routes(r *component.Routes) {
	component.HandleRaw(r, "echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
}

func (h *hooks) at(step string) error {
	h.diary.write(h.name + " " + step)
	switch step {
	case h.panic:
		panic(h.name + " panics")
	case h.fail:
		return errors.New(h.name + " fails")
	}
	return nil
}

func gate(t *testing.T, opts ...cereus.Option) *cereus.App {
	t.Helper()
	app, err := cereus.New(append([]cereus.Option{
		cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"), cereus.WithLogger(quiet()),
	}, opts...)...)
	require.NoError(t, err)
	return app
}

func withHooks(t *testing.T, app *cereus.App, m1, m2, c *hooks) {
	t.Helper()
	require.NoError(t, app.RegisterModule(m1))
	require.NoError(t, app.Register(c, component.WithName("svc")))
	require.NoError(t, app.RegisterModule(m2))
}

func TestLifecycleOrder(t *testing.T) {
	t.Parallel()
	d := &diary{}
	app := gate(t)
	withHooks(t, app, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d}, &hooks{name: "c", diary: d})
	require.Empty(t, d.read())
	begin(t, app)
	require.Equal(t, "hi", dial(t, app).mustAsk("svc.echo", "hi"))
	end(t, app)
	require.Equal(t, []string{
		"m1 init", "m2 init", "c init", "m1 after init", "m2 after init", "c after init",
		"c before shutdown", "m2 before shutdown", "m1 before shutdown", "c shutdown", "m2 shutdown", "m1 shutdown",
	}, d.read())
}

func TestFailedStartUnwinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m2   hooks
		want []string
		says string
	}{
		"init":             {hooks{fail: "init"}, []string{"m1 init", "m2 init", "m1 shutdown"}, "m2: m2 fails"},
		"panic in init":    {hooks{panic: "init"}, []string{"m1 init", "m2 init", "m1 shutdown"}, "m2: panic: m2 panics"},
		"after init":       {hooks{fail: "after init"}, []string{"m1 init", "m2 init", "c init", "m1 after init", "m2 after init", "c shutdown", "m2 shutdown", "m1 shutdown"}, "m2: after init: m2 fails"},
		"panic after init": {hooks{panic: "after init"}, []string{"m1 init", "m2 init", "c init", "m1 after init", "m2 after init", "c shutdown", "m2 shutdown", "m1 shutdown"}, "m2: after init: panic: m2 panics"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &diary{}
			c.m2.name, c.m2.diary = "m2", d
			app := gate(t)
			withHooks(t, app, &hooks{name: "m1", diary: d}, &c.m2, &hooks{name: "c", diary: d})
			require.EqualError(t, app.Start(context.Background()), c.says)
			require.Equal(t, c.want, d.read())
			require.ErrorIs(t, app.Start(context.Background()), cereus.ErrStarted)
			require.NoError(t, app.Shutdown(context.Background()))
			require.Equal(t, c.want, d.read())
		})
	}
}

// TestFailedListenUnwinds: the address is taken, when everything else is up.
func TestFailedListenUnwinds(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	d := &diary{}
	w := newWorld(t)
	watcher := w.start(server{kind: "watcher"})
	app := w.build(server{kind: "connector", id: "c", front: true, opts: []cereus.Option{cereus.WithTCP(taken.Addr().String())}})
	withHooks(t, app, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d}, &hooks{name: "c", diary: d})
	require.ErrorContains(t, app.Start(context.Background()), taken.Addr().String())
	require.Equal(t, []string{"c shutdown", "m2 shutdown", "m1 shutdown"}, d.read()[len(d.read())-3:])
	require.NoError(t, watcher.Discovery().SyncServers(context.Background()))
	require.Empty(t, watcher.Discovery().ServersByType("connector"))
}

func TestShutdownGoesOnAfterFaults(t *testing.T) {
	t.Parallel()
	d := &diary{}
	app := gate(t)
	withHooks(t, app, &hooks{name: "m1", diary: d, fail: "shutdown"},
		&hooks{name: "m2", diary: d, panic: "before shutdown"}, &hooks{name: "c", diary: d, panic: "shutdown"})
	require.NoError(t, app.Start(context.Background()))
	err := app.Shutdown(context.Background())
	for _, part := range []string{"m1: m1 fails", "m2: panic: m2 panics", "c panics"} {
		require.ErrorContains(t, err, part)
	}
	require.Equal(t, []string{
		"c before shutdown", "m2 before shutdown", "m1 before shutdown", "c shutdown", "m2 shutdown", "m1 shutdown",
	}, d.read()[6:])
}

func TestNewReportsAllFaults(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Conn.Mailbox = 0
	c.Heartbeat.Interval = 0
	_, err := cereus.New(
		cereus.Backend("room"), cereus.Frontend("gate"), cereus.WithConfig(c), cereus.WithConfig(nil),
		cereus.WithTCP(":0"), cereus.WithRouteDictionary(map[string]uint16{"a": 1, "b": 1}),
	)
	for _, part := range []string{
		"either one Frontend or one Backend", "a backend takes no clients", "conn.mailbox", "heartbeat.interval", "WithConfig(nil)",
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = cereus.New()
	require.ErrorContains(t, err, "an app needs a role")
	_, err = cereus.New(cereus.Frontend("gate"))
	require.ErrorContains(t, err, "a frontend needs an acceptor")
	_, err = cereus.New(cereus.Backend(""))
	require.ErrorContains(t, err, "server type is empty")
	_, err = cereus.New(cereus.Backend("no spaces"))
	require.ErrorContains(t, err, "no spaces")
	_, err = cereus.New(cereus.Backend("room"), cereus.WithID("no/slashes"))
	require.ErrorContains(t, err, "no/slashes")
}

// TestNewDoesNoIO: an address that nobody listens on is no fault yet, and an app
// that is never started leaves nothing (goleak looks at the end).
func TestNewDoesNoIO(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.build(server{kind: "room", config: []change{func(c *config.Config) {
		c.Cluster.SD.Etcd.Endpoints = []string{"192.0.2.1:2379"}
		c.Cluster.RPC.Client.NATS.Connect = "nats://192.0.2.1:4222"
	}}})
	require.Equal(t, "room", app.Server().Type)
	require.Empty(t, app.Discovery().Servers())
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(app.RPC(context.Background(), "match.table.who", nil, nil)))
}

func TestStartOnce(t *testing.T) {
	t.Parallel()
	app := gate(t)
	begin(t, app)
	require.ErrorIs(t, app.Start(context.Background()), cereus.ErrStarted)
	require.ErrorIs(t, app.Register(&hooks{}), cereus.ErrStarted)
	require.ErrorIs(t, app.RegisterRemote(&hooks{}), cereus.ErrStarted)
	require.ErrorIs(t, app.RegisterModule(&hooks{}), cereus.ErrStarted)
	dial(t, app)
}

func TestShutdownManyTimes(t *testing.T) {
	t.Parallel()
	d := &diary{}
	app := newWorld(t).build(server{kind: "gate", front: true})
	withHooks(t, app, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d, fail: "shutdown"}, &hooks{name: "c", diary: d})
	require.NoError(t, app.Start(context.Background()))
	p := dial(t, app)
	outcomes := make(chan error, 10)
	for range cap(outcomes) {
		go func() { outcomes <- app.Shutdown(context.Background()) }()
	}
	for range cap(outcomes) {
		require.EqualError(t, <-outcomes, "m2: m2 fails")
	}
	require.EqualError(t, app.Shutdown(context.Background()), "m2: m2 fails")
	require.Len(t, d.read(), 12)
	p.ends()
}

// TestShutdownBeforeStart: nothing happens, and the app does not start any more.
func TestShutdownBeforeStart(t *testing.T) {
	t.Parallel()
	d := &diary{}
	app := newWorld(t).build(server{kind: "gate", front: true})
	withHooks(t, app, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d}, &hooks{name: "c", diary: d})
	require.NoError(t, app.Shutdown(context.Background()))
	require.Error(t, app.Start(context.Background()))
	require.NoError(t, app.Shutdown(context.Background()))
	require.Empty(t, d.read())
}

func TestRunUntilContextEnds(t *testing.T) {
	t.Parallel()
	d := &diary{}
	up := make(upSignal)
	app := newWorld(t).build(server{kind: "gate", front: true, opts: []cereus.Option{up.option()}})
	withHooks(t, app, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d}, &hooks{name: "c", diary: d})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	<-up
	p := dial(t, app)
	require.Equal(t, "x", p.mustAsk("svc.echo", "x"))
	cancel()
	require.NoError(t, <-done)
	require.Len(t, d.read(), 12)
	p.ends()
}

// TestRunEndsWhenItCannotGoOn: the lease is lost for good and the app is
// configured to end then.
func TestRunEndsWhenItCannotGoOn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	infra, err := embedded.Start(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(ctx)) })
	d, up := &diary{}, make(upSignal)
	app := worldOn(t, infra).build(server{kind: "room", config: []change{func(c *config.Config) {
		c.Cluster.SD.Etcd.OnLoss = config.OnLossExit
		c.Cluster.SD.Etcd.Heartbeat.TTL = time.Second
		c.Cluster.SD.Etcd.GrantLease.MaxRetries = 1
		c.Cluster.SD.Etcd.GrantLease.RetryInterval = 10 * time.Millisecond
		c.Cluster.SD.Etcd.GrantLease.Timeout = 100 * time.Millisecond
		c.Cluster.SD.Etcd.Revoke.Timeout = 100 * time.Millisecond
	}}, opts: []cereus.Option{up.option()}})
	withHooks(t, app, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d}, &hooks{name: "c", diary: d})
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	<-up
	require.NoError(t, infra.StopEtcd(ctx))
	select {
	case err := <-done:
		require.ErrorContains(t, err, "lease")
	case <-time.After(patience):
		require.FailNow(t, "the app goes on without a lease")
	}
	require.Len(t, d.read(), 12)
}

// TestRunEndsBySignal: the first one ends it in order. For the second see row S22.
func TestRunEndsBySignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run("one "+sig.String(), func(t *testing.T) {
			t.Parallel()
			c := spawn(t, "gate")
			p, err := client.Dial(context.Background(), c.addr)
			require.NoError(t, err)
			defer p.Close()
			require.NoError(t, c.cmd.Process.Signal(sig))
			out, code := c.rest()
			require.Zero(t, code, out)
			<-p.Done()
		})
	}
}

// TestS22_SecondSignal: it ends a shutdown at once that a handler holds up.
func TestS22_SecondSignal(t *testing.T) {
	t.Parallel()
	c := spawn(t, "gate")
	p, err := client.Dial(context.Background(), c.addr)
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, p.NotifyRaw(context.Background(), "stuck.forever", nil))
	_, err = p.RequestRaw(context.Background(), "stuck.running", nil)
	require.NoError(t, err)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	until(t, "it lets nobody in", func() bool {
		conn, err := net.Dial("tcp", c.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	over := make(chan struct{})
	go func() { // a repetition within a second counts as the same signal
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may be over
			case <-over:
				return
			}
		}
	}()
	out, code := c.rest()
	close(over)
	require.Equal(t, 1, code)
	require.Contains(t, out, "shutdown cut short by signal terminated")
}

// stuck has a handler that never returns.
type stuck struct {
	release chan struct{}
	entered chan struct{}
}

func (s *stuck) Routes(r *component.Routes) {
	component.NotifyRaw(r, "forever", func(context.Context, []byte) {
		if s.entered != nil {
			close(s.entered)
		}
		<-s.release
	}, component.WithConcurrent())
	component.HandleRaw(r, "running", func(context.Context, []byte) ([]byte, error) { return []byte("yes"), nil })
}

// TestS22_StuckHandlerAtShutdown: the shutdown ends at its deadline and says
// what still runs; everything else is down.
func TestS22_StuckHandlerAtShutdown(t *testing.T) {
	t.Parallel()
	d := &diary{}
	up := make(upSignal)
	s := &stuck{release: make(chan struct{}), entered: make(chan struct{})}
	app := newWorld(t).build(server{kind: "gate", front: true, config: []change{func(c *config.Config) {
		c.Shutdown.Timeout = 200 * time.Millisecond
	}}, opts: []cereus.Option{up.option()}})
	withHooks(t, app, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d}, &hooks{name: "c", diary: d})
	require.NoError(t, app.Register(s, component.WithName("stuck")))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	<-up
	p := dial(t, app)
	require.NoError(t, p.NotifyRaw(ctx, "stuck.forever", nil))
	<-s.entered
	cancel()
	select {
	case err := <-done:
		require.ErrorContains(t, err, "concurrent handler x1")
		require.ErrorContains(t, err, "shutdown.timeout")
	case <-time.After(patience):
		require.FailNow(t, "the shutdown waits for the handler")
	}
	p.ends()
	require.Len(t, d.read(), 12)
	close(s.release)
}

// TestE14_TwoAppsOneID: the second is refused, and the first serves on.
func TestE14_TwoAppsOneID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	game := func(app *cereus.App) {
		require.NoError(t, app.RegisterRemote(&table{app: app}, component.WithName("table")))
	}
	ttl := func(c *config.Config) { c.Cluster.SD.Etcd.Heartbeat.TTL = 3 * time.Second }
	first := w.start(server{kind: "room", id: "the-one", config: []change{ttl}, game: game})
	caller := w.start(server{kind: "match"})
	sees(t, caller, "room", 1)
	d := &diary{}
	second := w.build(server{kind: "room", id: "the-one", config: []change{ttl}, game: game})
	withHooks(t, second, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d}, &hooks{name: "c", diary: d})
	err := second.Run(context.Background())
	require.ErrorIs(t, err, cluster.ErrIDTaken)
	require.ErrorContains(t, err, "the-one")
	require.Empty(t, d.read(), "refused before anything begins, and above all before it subscribes")
	require.NoError(t, caller.RPC(context.Background(), "room.table.who", nil, &Greeting{}))
	s, ok := caller.Discovery().Server("the-one")
	require.True(t, ok)
	require.Equal(t, first.Server().Nonce, s.Nonce)
}

// TestReadiness asks over HTTP before, during and after the life of an app.
func TestReadiness(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	infra, err := embedded.Start(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(ctx)) })
	port, err := loopback.FreePort()
	require.NoError(t, err)
	address := loopback.Address(port)
	seen := make(map[string]string)
	ask := func(path string) string { return httpGet(t, "http://"+address+path) }
	app := worldOn(t, infra).build(server{kind: "room", config: []change{func(c *config.Config) { c.Admin.Address = address }}})
	require.NoError(t, app.RegisterModule(&probe{during: func(step string) { seen[step] = ask("/readyz") }}))
	require.Equal(t, "refused", ask("/readyz"))
	begin(t, app)
	require.Equal(t, "200 []\n", ask("/readyz"))
	require.Contains(t, ask("/metrics"), "cereus_nats_connected")
	require.Contains(t, ask("/healthz"), "200")

	require.NoError(t, infra.StopNATS(ctx, 0))
	until(t, "not ready without NATS", func() bool { return ask("/readyz") == `503 [{"name":"nats","why":"not connected to NATS"}]`+"\n" })
	require.NoError(t, infra.RestartNATS(ctx, 0))
	until(t, "ready again", func() bool { return ask("/readyz") == "200 []\n" })
	require.NoError(t, infra.StopEtcd(ctx))
	until(t, "degraded without etcd", func() bool { return strings.HasPrefix(ask("/healthz"), "200 degraded\netcd: etcd is away") })
	require.Equal(t, "200 []\n", ask("/readyz"), "the last view stays, and calls go on")
	require.NoError(t, infra.RestartEtcd(ctx))
	until(t, "well again", func() bool { return ask("/healthz") == "200 ok\n" })

	end(t, app)
	require.Equal(t, "refused", ask("/readyz"))
	notReady := `503 [{"name":"app","why":"starting or stopping"}]` + "\n"
	require.Equal(t, map[string]string{"init": notReady, "before shutdown": notReady, "shutdown": notReady}, seen)
}

func httpGet(t *testing.T, url string) string {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get(url)
	if err != nil {
		return "refused"
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode, " ", readAll(t, resp.Body))
}

// probe is a module that looks at something in each of its steps.
type probe struct{ during func(step string) }

func (p *probe) Name() string { return "probe" }

func (p *probe) Init(context.Context) error { p.during("init"); return nil }

func (p *probe) AfterInit(context.Context) error { return nil }

func (p *probe) BeforeShutdown(context.Context) { p.during("before shutdown") }

func (p *probe) Shutdown(context.Context) error { p.during("shutdown"); return nil }

// TestE23_GracefulStop: when the other parts of a server hear that it stops, it
// is gone from every view, and nobody has been refused yet.
func TestE23_GracefulStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	game := func(app *cereus.App) {
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
		require.NoError(t, app.RegisterRemote(&table{app: app}, component.WithName("table")))
	}
	front := w.start(server{kind: "connector", front: true, game: game})
	viewers := []*cereus.App{front, w.start(server{kind: "match"}), w.start(server{kind: "room", id: "stays", game: game})}
	p := dial(t, front)
	best := patience
	for round := range 5 {
		id := fmt.Sprint("goes-", round)
		leaving := w.build(server{kind: "room", id: id, game: game, config: []change{func(c *config.Config) {
			c.Cluster.SD.Etcd.Shutdown.Delay = config.Default().Cluster.SD.Etcd.Shutdown.Delay
		}}})
		views := make(map[string]bool)
		require.NoError(t, leaving.RegisterModule(&probe{during: func(step string) {
			if step != "before shutdown" {
				return
			}
			for _, v := range viewers {
				views[v.Server().ID] = slices.ContainsFunc(v.Discovery().ServersByType("room"), func(s *cluster.Server) bool { return s.ID == id })
			}
			got, err := cereus.Call[Greeting](context.Background(), front, "room.table.who", &Greeting{}, cereus.To(id))
			require.NoError(t, err)
			require.Equal(t, id, got.From)
		}}))
		require.NoError(t, leaving.Start(context.Background()))
		for _, v := range viewers {
			sees(t, v, "room", 2)
		}
		var since time.Time
		gone := make(chan time.Duration)
		go func() {
			for {
				if len(front.Discovery().ServersByType("room")) == 1 {
					gone <- time.Since(since)
					return
				}
				p.mustAsk("room.hall.whoami", "") // never fails
			}
		}()
		since = time.Now()
		end(t, leaving)
		best = min(best, <-gone)
		require.Len(t, views, len(viewers))
		for viewer, saw := range views {
			require.False(t, saw, "%s still saw %s", viewer, id)
		}
	}
	require.Less(t, best, 200*time.Millisecond)
}

// TestE18_N20_InfrastructureDownAtBoot: tried until the boot deadline, then an
// error that names who did not answer, and nothing is left.
func TestE18_N20_InfrastructureDownAtBoot(t *testing.T) {
	t.Parallel()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	closed := loopback.Address(port)
	for name, down := range map[string]change{
		"E18 etcd":       func(c *config.Config) { c.Cluster.SD.Etcd.Endpoints = []string{closed} },
		"N20 nats":       func(c *config.Config) { c.Cluster.RPC.Client.NATS.Connect = config.URLs("nats://" + closed) },
		"N20 the other":  func(c *config.Config) { c.Cluster.RPC.Server.NATS.Connect = config.URLs("nats://" + closed) },
		"N20 one of two": func(c *config.Config) { c.Cluster.SD.Etcd.Endpoints = append(c.Cluster.SD.Etcd.Endpoints, closed) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &diary{}
			app := newWorld(t).build(server{kind: "room", config: []change{down, func(c *config.Config) {
				c.Boot.Timeout = 500 * time.Millisecond
				c.Cluster.SD.Etcd.DialTimeout = 200 * time.Millisecond
			}}})
			withHooks(t, app, &hooks{name: "m1", diary: d}, &hooks{name: "m2", diary: d}, &hooks{name: "c", diary: d})
			if name == "N20 one of two" { // the other one answers
				begin(t, app)
				return
			}
			err := app.Run(context.Background())
			require.ErrorContains(t, err, closed)
			require.Empty(t, d.read())
		})
	}
}

// TestN20_InfrastructureComesDuringBoot: a server that is started first waits.
func TestN20_InfrastructureComesDuringBoot(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	infra, err := embedded.Start(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(ctx)) })
	require.NoError(t, infra.StopEtcd(ctx))
	require.NoError(t, infra.StopNATS(ctx, 0))
	app := worldOn(t, infra).build(server{kind: "room"})
	started := make(chan error)
	go func() { started <- app.Start(ctx) }()
	require.NoError(t, infra.RestartEtcd(ctx))
	select {
	case err := <-started:
		require.FailNow(t, "started without NATS", "%v", err)
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, infra.RestartNATS(ctx, 0))
	require.NoError(t, <-started)
	end(t, app)
}

// TestBootIsCutShort: the context of Start ends it, whatever the boot timeout.
func TestBootIsCutShort(t *testing.T) {
	t.Parallel()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	app := newWorld(t).build(server{kind: "room", config: []change{func(c *config.Config) {
		c.Cluster.SD.Etcd.Endpoints = []string{loopback.Address(port)}
	}}})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, app.Start(ctx), context.DeadlineExceeded)
}

// TestStandalone: every route is its own, and there is nobody to call.
func TestStandalone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	app := standalone(t, server{game: func(app *cereus.App) {
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
	}})
	p := dial(t, app)
	require.Empty(t, p.mustAsk("hall.login", "ann"))
	require.Equal(t, "x", p.mustAsk("gate.hall.echo", "x"))
	p.receives("onEcho:x")
	_, err := p.ask("room.hall.echo", "x")
	require.ErrorIs(t, err, errs.ErrNoServer)
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(app.RPC(ctx, "room.table.who", nil, nil)))
	_, err = cereus.CallAll[Greeting](ctx, app, "room.table.who", nil)
	require.ErrorIs(t, err, errs.ErrNoServer)
	failed, err := app.Push(ctx, cereus.Push{Route: "r", Payload: []byte("v")}, "ann", "bob")
	require.NoError(t, err)
	require.Equal(t, []string{"bob"}, failed)
	p.receives("r:v")
	require.Nil(t, app.Discovery())
	require.Equal(t, 1, app.Sessions())
	failed, err = app.Kick(ctx, "", "bye", "ann", "bob")
	require.ErrorIs(t, err, errs.ErrSessionNotFound)
	require.Equal(t, []string{"bob"}, failed)
	require.Equal(t, "bye", p.ends().KickReason)
	until(t, "nobody is left", func() bool { return app.Sessions() == 0 })
}
