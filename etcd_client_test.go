package cereus_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/registry"
)

// Groups with the settings of service discovery use its connection.
func TestGroupsShareTheConnectionOfDiscovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := faultproxy.New(t, w.infra.EtcdEndpoints()[0])
	cfg := w.config(func(c *config.Config) {
		c.Cluster.SD.Etcd.Endpoints = []string{proxy.Addr()}
		c.Groups.Etcd.Endpoints = []string{proxy.Addr()}
	})
	app := w.build(server{kind: "room", opts: []cereus.Option{cereus.WithConfig(cfg)}})
	early, done, err := app.EtcdClient(cfg.Groups.Etcd.EtcdConnection)
	require.NoError(t, err, "also before Start")
	begin(t, app)
	client, doneAgain, err := app.EtcdClient(cfg.Groups.Etcd.EtcdConnection)
	require.NoError(t, err)
	require.Same(t, early, client)
	groups := group.New(group.NewEtcdStore(group.EtcdParams{Client: client, Prefix: w.prefix}))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, groups.Create(ctx, "guild"))
	require.NoError(t, groups.Add(ctx, "guild", "ann"))
	require.Equal(t, 1, proxy.Stats().Open)
	require.Equal(t, int64(1), proxy.Stats().Accepted)
	end(t, app)
	require.NoError(t, groups.Add(ctx, "guild", "bob"), "it is there until all gave it back")
	require.NoError(t, done())
	require.NoError(t, doneAgain())
	until(t, "the connection is closed", func() bool { return proxy.Stats().Open == 0 })
}

// A registry within an app has no connection of its own, and dials again when
// nobody answers as service discovery does (E05).
func TestRegistrySharesTheConnectionOfDiscovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := faultproxy.New(t, w.infra.EtcdEndpoints()[0])
	cfg := w.config(func(c *config.Config) { c.Cluster.SD.Etcd.Endpoints = []string{proxy.Addr()} })
	app := w.build(server{kind: "room", opts: []cereus.Option{cereus.WithConfig(cfg)}})
	names, err := registry.New(registry.Params{
		Clients: app.EtcdClients(), Endpoints: cfg.Cluster.SD.Etcd.Endpoints, DialTimeout: cfg.Cluster.SD.Etcd.DialTimeout,
		Namespace: w.prefix, BootTimeout: patience, TTL: 6 * time.Second,
	})
	require.NoError(t, err)
	require.NoError(t, app.RegisterModule(names))
	begin(t, app)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := names.Register(ctx, registry.Instance{Name: "login"})
	require.NoError(t, err)
	require.Equal(t, int64(1), proxy.Stats().Accepted)

	until(t, "it is known", func() bool {
		list, err := names.Get(ctx, "login")
		return err == nil && len(list) == 1 && list[0].ID == id
	})
	proxy.Pause(faultproxy.Existing)
	until(t, "it is dialed again", func() bool { return proxy.Stats().Accepted > 1 && names.Degraded() == nil })
	list, err := names.Get(ctx, "login")
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestEtcdClientThatWasPassedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own, err := clientv3.New(clientv3.Config{Endpoints: w.infra.EtcdEndpoints()})
	require.NoError(t, err)
	defer own.Close() //nolint:errcheck // it says that it is closed
	cfg := w.config()
	app := w.build(server{kind: "room", opts: []cereus.Option{cereus.WithConfig(cfg), cereus.WithEtcdClient(own)}})
	same, done, err := app.EtcdClient(cfg.Cluster.SD.Etcd.EtcdConnection)
	require.NoError(t, err)
	require.Same(t, own, same)
	require.NoError(t, done())
	require.NoError(t, own.Ctx().Err(), "it stays open")
	cfg.Groups.Etcd.Endpoints = []string{"127.0.0.1:1"}
	other, done, err := app.EtcdClient(cfg.Groups.Etcd.EtcdConnection)
	require.NoError(t, err)
	require.NotSame(t, own, other)
	require.NoError(t, done())
	cfg.Groups.Etcd.TLS.CA = "no-such-file"
	_, _, err = app.EtcdClient(cfg.Groups.Etcd.EtcdConnection)
	require.ErrorContains(t, err, "tls ca: open no-such-file")
}
