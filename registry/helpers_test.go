package registry_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/registry"
)

// patience is how long a condition may take on a slow machine before a test fails.
const patience = 20 * time.Second

func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	return ctx
}

// startEtcd returns the endpoint of an etcd of the test's own.
func startEtcd(t testing.TB) string {
	t.Helper()
	c, err := embedded.Start(testContext(t), embedded.WithoutNATS())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c.EtcdEndpoints()[0]
}

// rawClient is what an operator or another program uses.
func rawClient(t testing.TB, endpoint string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := c.Close(); !errors.Is(err, context.Canceled) {
			require.NoError(t, err)
		}
	})
	return c
}

func params(endpoint string) registry.Params {
	return registry.Params{
		Endpoints: []string{endpoint}, Namespace: "t/", TTL: 2 * time.Second,
		BootTimeout: patience, GrantTimeout: patience,
	}
}

// start is a registry that ends with the test.
func start(t testing.TB, p registry.Params) *registry.Registry {
	t.Helper()
	r, err := registry.New(p)
	require.NoError(t, err)
	require.NoError(t, r.Init(testContext(t)))
	t.Cleanup(func() { stop(t, r) })
	return r
}

func stop(t testing.TB, r *registry.Registry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, r.Shutdown(ctx))
}

func register(t testing.TB, r *registry.Registry, i registry.Instance) string {
	t.Helper()
	id, err := r.Register(testContext(t), i)
	require.NoError(t, err)
	return id
}

func login(id string) registry.Instance {
	return registry.Instance{Name: "login", ID: id, Addresses: []string{"10.0.0.7:80", "https://login.test:443"}, Metadata: map[string]string{"zone": "eu"}}
}

func get(t testing.TB, r *registry.Registry, name string) []registry.Instance {
	t.Helper()
	list, err := r.Get(testContext(t), name)
	require.NoError(t, err)
	return list
}

// names is a list of instances as name/id, with a star for a game server.
func names(list []registry.Instance) []string {
	out := []string{}
	for _, i := range list {
		name := i.Name + "/" + i.ID
		if i.Game {
			name += "*"
		}
		out = append(out, name)
	}
	return out
}

func sees(t testing.TB, r *registry.Registry, name string, want ...string) func() bool {
	t.Helper()
	return func() bool { return slices.Equal(names(get(t, r, name)), want) }
}

func watch(t testing.TB, r *registry.Registry, name string) *registry.Watcher {
	t.Helper()
	w, err := r.Watch(testContext(t), name)
	require.NoError(t, err)
	t.Cleanup(w.Stop)
	return w
}

func next(t testing.TB, w *registry.Watcher) registry.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := w.Next(ctx)
	require.NoError(t, err)
	return c
}

// hears is the next change in short.
func hears(t testing.TB, w *registry.Watcher) string {
	t.Helper()
	c := next(t, w)
	return string(c.Kind) + " " + string(c.Reason) + " " + names([]registry.Instance{c.Instance})[0]
}
