package cereus_test

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nuid"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
)

// patience bounds every wait: the machine may be slow, a condition that is not
// met after this long will not be.
const patience = 30 * time.Second

// tick is how often a condition is looked at.
const tick = 2 * time.Millisecond

// world is one cluster, apart from all others by its prefix.
type world struct {
	t      testing.TB
	infra  *embedded.Cluster
	prefix string
	dir    string // for ledgers; made when it is asked for
	nats   string // its URL; "" is that of infra
}

func newWorld(t testing.TB) *world {
	t.Helper()
	infra, err := startShared()
	require.NoError(t, err)
	return worldOn(t, infra)
}

// worldOn is a world on etcd and NATS of the test's own.
func worldOn(t testing.TB, infra *embedded.Cluster) *world {
	return &world{t: t, infra: infra, prefix: nuid.Next() + "/"}
}

// change adapts the configuration of one app.
type change func(*config.Config)

func (w *world) config(changes ...change) *config.Config {
	c := config.Default()
	c.Cluster.NATS.Prefix = w.prefix
	c.Cluster.SD.Etcd.Prefix = w.prefix
	c.Cluster.SD.Etcd.Endpoints = w.infra.EtcdEndpoints()
	c.Cluster.SD.Etcd.Shutdown.Delay = 50 * time.Millisecond
	nats := cmp.Or(w.nats, strings.Join(w.infra.NATSURLs(), ","))
	c.Cluster.RPC.Client.NATS.Connect = config.URLs(nats)
	c.Cluster.RPC.Server.NATS.Connect = config.URLs(nats)
	c.Cluster.RPC.Client.NATS.RequestTimeout = patience
	for _, change := range changes {
		change(c)
	}
	return c
}

// quiet drops the log of what tests provoke.
func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// server describes an app of a world.
type server struct {
	kind   string // a type; a frontend when front is set
	id     string
	front  bool
	config []change
	opts   []cereus.Option
	game   func(*cereus.App) // registers what it serves
}

// build makes the app without starting it.
func (w *world) build(s server) *cereus.App {
	w.t.Helper()
	opts := []cereus.Option{cereus.WithConfig(w.config(s.config...)), cereus.WithLogger(quiet())}
	if s.id != "" {
		opts = append(opts, cereus.WithID(s.id))
	}
	if s.front {
		opts = append(opts, cereus.Frontend(s.kind), cereus.WithTCP("127.0.0.1:0"))
	} else {
		opts = append(opts, cereus.Backend(s.kind))
	}
	app, err := cereus.New(append(opts, s.opts...)...)
	require.NoError(w.t, err)
	if s.game != nil {
		s.game(app)
	}
	return app
}

// start makes the app and starts it; it is stopped at the end of the test at the latest.
func (w *world) start(s server) *cereus.App {
	w.t.Helper()
	app := w.build(s)
	begin(w.t, app)
	return app
}

func begin(t testing.TB, app *cereus.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, app.Start(ctx))
	t.Cleanup(func() { end(t, app) })
}

func end(t testing.TB, app *cereus.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, app.Shutdown(ctx))
}

// standalone starts a frontend without a cluster.
func standalone(t testing.TB, s server, opts ...cereus.Option) *cereus.App {
	t.Helper()
	c := config.Default()
	for _, change := range s.config {
		change(c)
	}
	opts = append([]cereus.Option{
		cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"),
		cereus.WithConfig(c), cereus.WithLogger(quiet()),
	}, append(opts, s.opts...)...)
	app, err := cereus.New(opts...)
	require.NoError(t, err)
	if s.game != nil {
		s.game(app)
	}
	begin(t, app)
	return app
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, tick, what)
}

// sees waits until app knows n servers of the type.
func sees(t testing.TB, app *cereus.App, serverType string, n int) {
	t.Helper()
	until(t, app.Server().ID+" sees the servers of type "+serverType, func() bool {
		return len(app.Discovery().ServersByType(serverType)) == n
	})
}

// player is a client with a record of its pushes.
type player struct {
	*client.Client
	t      testing.TB
	mu     sync.Mutex // guards pushes
	pushes []string   // route:payload
}

func dial(t testing.TB, app *cereus.App, opts ...client.Option) *player {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Dial(ctx, app.Addrs()[0].String(), append([]client.Option{client.WithTimeout(patience)}, opts...)...)
	require.NoError(t, err)
	p := &player{Client: c, t: t}
	c.OnPush(func(route string, data []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pushes = append(p.pushes, route+":"+string(data))
	})
	t.Cleanup(func() { _ = c.Close() })
	return p
}

func (p *player) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pushes)
}

// receives waits for a push.
func (p *player) receives(push string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return slices.Contains(p.got(), push) }, patience, tick, "push %q", push)
}

// ask sends a request with a body and returns the body of the answer.
func (p *player) ask(route, body string) (string, error) {
	out, err := p.RequestRaw(context.Background(), route, []byte(body))
	return string(out), err
}

func (p *player) mustAsk(route, body string) string {
	p.t.Helper()
	out, err := p.ask(route, body)
	require.NoError(p.t, err, "%s %s", route, body)
	return out
}

// ends waits for the end of the connection.
func (p *player) ends() *client.CloseError {
	p.t.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
		require.FailNow(p.t, "the connection did not end")
	}
	var end *client.CloseError
	require.ErrorAs(p.t, p.Err(), &end)
	return end
}

// metric is the sum of the series of a counter or gauge that have the labels,
// which are given as name and value in turn.
func metric(t testing.TB, app *cereus.App, name string, labels ...string) int {
	t.Helper()
	families, err := app.Metrics().Registry().Gather()
	require.NoError(t, err)
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			found := make(map[string]string)
			for _, l := range m.GetLabel() {
				found[l.GetName()] = l.GetValue()
			}
			if contains(found, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return int(sum)
}

func contains(all map[string]string, labels []string) bool {
	for pair := range slices.Chunk(labels, 2) {
		if all[pair[0]] != pair[1] {
			return false
		}
	}
	return true
}

// counts waits until a metric has reached a value.
func counts(t testing.TB, app *cereus.App, n int, name string, labels ...string) {
	t.Helper()
	until(t, name, func() bool { return metric(t, app, name, labels...) >= n })
}

// etcd is a client of the world's etcd.
func (w *world) etcd() *clientv3.Client {
	w.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: w.infra.EtcdEndpoints(), DialTimeout: patience})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(all)
}

// upSignal is closed when an app's log says that it is up.
type upSignal chan struct{}

func (u upSignal) option() cereus.Option {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(u)
	return cereus.WithLogger(log)
}

func (upSignal) Levels() []logrus.Level { return []logrus.Level{logrus.InfoLevel} }

func (u upSignal) Fire(e *logrus.Entry) error {
	if e.Message == "server is up" {
		close(u)
	}
	return nil
}
