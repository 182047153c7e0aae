package conformance_test

import (
	"context"
	"io"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/group"
)

// Facts of the recorded servers (wire.md section 20).
const (
	rpcTimeout   = "1500ms"
	heartbeat    = "2s"
	prefix       = "pitaya/"
	largeRepeats = 200
	patience     = 15 * time.Second
)

// world is etcd and NATS with a client of each.
type world struct {
	t        testing.TB
	infra    *embedded.Cluster
	etcd     *clientv3.Client
	nats     *nats.Conn
	stopping chan struct{}
	slow     atomic.Int32 // calls of svc.slow and rem.slow that run
}

func newWorld(t testing.TB) *world {
	t.Helper()
	infra, err := embedded.Start(context.Background())
	require.NoError(t, err)
	w := &world{t: t, infra: infra, stopping: make(chan struct{})}
	t.Cleanup(func() { require.NoError(t, infra.Stop(context.Background())) })
	w.etcd, err = clientv3.New(clientv3.Config{Endpoints: infra.EtcdEndpoints(), DialTimeout: patience})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.etcd.Close() })
	w.nats, err = nats.Connect(infra.NATSURL())
	require.NoError(t, err)
	t.Cleanup(w.nats.Close)
	return w
}

// config is that of the recorded servers, read as a Pitaya file would be.
func (w *world) config(overrides map[string]any) *config.Config {
	w.t.Helper()
	all := map[string]any{
		"heartbeat.interval":                     heartbeat,
		"handler.messages.compression":           true,
		"handler.messages.compressionthreshold":  0,
		"conn.handshaketimeout":                  "30s", // two conversations idle without a handshake
		"cluster.rpc.client.nats.requesttimeout": rpcTimeout,
		"cluster.rpc.client.nats.connect":        w.infra.NATSURL(),
		"cluster.rpc.server.nats.connect":        w.infra.NATSURL(),
		"cluster.sd.etcd.endpoints":              w.infra.EtcdEndpoints(),
		"cluster.sd.etcd.shutdown.delay":         "1ms",
	}
	maps.Copy(all, overrides)
	c, _, err := config.Load(config.Options{
		Root: config.PitayaRoot, Env: func() []string { return nil }, Overrides: all,
	})
	require.NoError(w.t, err)
	return c
}

// quiet drops the log of what the conversations provoke.
func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// server is one running app of a world.
type server struct {
	*cereus.App
	addr string // of a frontend
}

// serverParams describe one server of a world.
type serverParams struct {
	Type, ID string
	Frontend bool
	Config   map[string]any
	Options  []cereus.Option
}

func (w *world) start(p serverParams) *server {
	w.t.Helper()
	opts := []cereus.Option{
		cereus.WithID(p.ID), cereus.WithConfig(w.config(p.Config)), cereus.WithLogger(quiet()),
		cereus.WithMetadata(map[string]string{"stack": "blue"}),
	}
	if p.Frontend {
		opts = append(opts, cereus.Frontend(p.Type), cereus.WithTCP("127.0.0.1:0"))
	} else {
		opts = append(opts, cereus.Backend(p.Type))
	}
	app, err := cereus.New(append(opts, p.Options...)...)
	require.NoError(w.t, err)
	game := &service{app: app, stopping: w.stopping, slow: &w.slow, groups: group.New(group.NewEtcdStore(group.EtcdParams{
		Client: w.etcd, Prefix: prefix,
	}))}
	require.NoError(w.t, app.Register(svc{game}, component.WithName("svc")))
	require.NoError(w.t, app.RegisterRemote(rem{game}, component.WithName("rem")))
	require.NoError(w.t, app.Start(context.Background()))
	w.t.Cleanup(func() { w.stop(app) })
	s := &server{App: app}
	if p.Frontend {
		s.addr = app.Addrs()[0].String()
	}
	return s
}

func (w *world) stop(app *cereus.App) {
	select {
	case <-w.stopping:
	default:
		close(w.stopping)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(w.t, app.Shutdown(ctx))
}

// knows waits until s sees the server with the id.
func (w *world) knows(s *server, id string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		_, ok := s.Discovery().Server(id)
		return ok
	}, patience, 5*time.Millisecond, "%s never saw %s", s.Server().ID, id)
}

// pair starts the servers of most recordings: front-1 and a backend.
func (w *world) pair(backend string, overrides map[string]any, opts ...cereus.Option) (front, back *server) {
	w.t.Helper()
	back = w.start(serverParams{Type: "room", ID: backend, Config: overrides})
	front = w.start(serverParams{Type: "connector", ID: "front-1", Frontend: true, Config: overrides, Options: opts})
	w.knows(front, backend)
	w.knows(back, "front-1")
	return front, back
}

// awaitSlow returns when no call of svc.slow or rem.slow runs.
func (w *world) awaitSlow() {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.slow.Load() == 0 }, patience, 5*time.Millisecond)
}
