package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/registry"
)

func TestRegistry_OneFindsWhatAnotherRegisters(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	a, b, operator := start(t, params(endpoint)), start(t, params(endpoint)), rawClient(t, endpoint)
	require.Empty(t, get(t, b, "login"))

	in := login("l1")
	in.Weight, in.State = 50, cluster.StateBusy
	require.Equal(t, "l1", register(t, a, in))
	eventually(t, sees(t, b, "login", "login/l1"), "seen by the other")
	got := get(t, b, "login")[0]
	require.Positive(t, got.Revision)
	in.Revision = got.Revision
	require.Equal(t, in, got)
	require.True(t, got.Available())
	got.Metadata["zone"] = "mine"
	require.Equal(t, in, get(t, b, "login")[0], "what Get returned is the caller's own")

	resp, err := operator.Get(testContext(t), "t/x/services/login/l1")
	require.NoError(t, err)
	require.Len(t, resp.Kvs, 1)
	require.NotZero(t, resp.Kvs[0].Lease)
	var value map[string]any
	require.NoError(t, json.Unmarshal(resp.Kvs[0].Value, &value))
	require.Equal(t, "l1", value["id"])
	require.Equal(t, "login", value["type"])
	require.Equal(t, map[string]any{"zone": "eu", registry.MetadataAddresses: "10.0.0.7:80,https://login.test:443"}, value["metadata"])

	require.NoError(t, a.Deregister(testContext(t), "login", "l1"))
	eventually(t, sees(t, b, "login"), "gone")
	require.ErrorIs(t, a.Deregister(testContext(t), "login", "l1"), registry.ErrNotRegistered)
	register(t, a, login("l1"))
	eventually(t, sees(t, b, "login", "login/l1"), "back")
}

// An id is unique within its name only, and a name may be a type of servers too.
func TestRegistry_NamesAreApart(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	r := start(t, params(endpoint))
	d, err := cluster.NewEtcdDiscovery(cluster.EtcdParams{
		Self:      &cluster.Server{ID: "one", Type: "login", Metadata: map[string]string{registry.MetadataAddresses: "game:1"}},
		Endpoints: []string{endpoint}, Prefix: "t/", BootTimeout: patience,
	})
	require.NoError(t, err)
	require.NoError(t, d.Init(testContext(t)))
	t.Cleanup(func() { require.NoError(t, d.Shutdown(context.Background())) })
	require.NoError(t, d.Register(testContext(t)))
	_, err = rawClient(t, endpoint).Put(testContext(t), "t/servers/room/p", `{"id":"p","type":"room","metadata":null,"frontend":true}`)
	require.NoError(t, err)

	register(t, r, login("one"))
	register(t, r, registry.Instance{Name: "pay", ID: "one"})
	eventually(t, sees(t, r, "", "login/one", "login/one*", "pay/one", "room/p*"), "all of them")
	require.Equal(t, []string{"login/one", "login/one*"}, names(get(t, r, "login")))
	require.Equal(t, []string{"room/p*"}, names(get(t, r, "room")))
	game := get(t, r, "login")[1]
	require.Equal(t, []string{"game:1"}, game.Addresses)
	require.Equal(t, map[string]string{registry.MetadataAddresses: "game:1"}, game.Metadata, "all that the server says")

	list := next(t, watch(t, r, ""))
	require.Equal(t, []string{"login/one", "login/one*", "pay/one", "room/p*"}, names(list.Instances))

	p := params(endpoint)
	p.ServicesOnly = true
	only := start(t, p)
	require.Equal(t, []string{"login/one", "pay/one"}, names(get(t, only, "")))
	require.NoError(t, d.SyncServers(testContext(t)))
	require.Len(t, d.Servers(), 2, "a service is no server of the cluster")
}

func TestRegister_WithoutAnID(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	proxy, operator := faultproxy.New(t, endpoint), rawClient(t, endpoint)
	p := params(proxy.Addr())
	p.TTL = time.Second
	r, watcher := start(t, p), start(t, params(endpoint))
	first, second := register(t, r, login("")), register(t, r, login(""))
	require.NotEqual(t, first, second)

	resp, err := operator.Get(testContext(t), "t/x/services/login/"+first)
	require.NoError(t, err)
	require.Len(t, resp.Kvs, 1)
	require.Equal(t, first, fmt.Sprintf("%x", resp.Kvs[0].Lease))
	require.NoError(t, r.Deregister(testContext(t), "login", second))
	eventually(t, sees(t, watcher, "login", "login/"+first), "the other is left")

	w := watch(t, watcher, "login")
	next(t, w)
	away(t, proxy)
	require.Equal(t, "down crashed login/"+first, hears(t, w), "the lease ran out")
	require.NoError(t, proxy.Accept())
	require.Equal(t, "up returned login/"+first, hears(t, w), "it keeps its id under another lease")
}

// away cuts the connections and refuses new ones.
func away(t testing.TB, proxy *faultproxy.Proxy) {
	t.Helper()
	require.NoError(t, proxy.Refuse())
	proxy.Cut(faultproxy.RST)
}

func TestRegister_Refuses(t *testing.T) {
	t.Parallel()
	r := start(t, params(startEtcd(t)))
	long := strings.Repeat("a", registry.MaxAddressBytes+1)
	for what, i := range map[string]registry.Instance{
		"name \"\"":        {},
		"name \"a/b\"":     {Name: "a/b"},
		"id \"x y\"":       {Name: "login", ID: "x y"},
		"17 addresses":     {Name: "login", Addresses: make([]string, 17)},
		"257 bytes":        {Name: "login", Addresses: []string{long}},
		"0 bytes":          {Name: "login", Addresses: []string{""}},
		"leave out commas": {Name: "login", Addresses: []string{"a:1,b:2"}},
		"into Addresses":   {Name: "login", Metadata: map[string]string{registry.MetadataAddresses: "a"}},
		"weight -1":        {Name: "login", Weight: -1},
		"state \"left\"":   {Name: "login", State: cluster.StateLeft},
		"leave Game unset": {Name: "login", Game: true},
		"more than 65536":  {Name: "login", Metadata: map[string]string{"big": strings.Repeat("x", 1<<16)}},
	} {
		_, err := r.Register(testContext(t), i)
		require.ErrorContains(t, err, what)
	}
	_, err := r.Register(testContext(t), login(""), registry.WithHealth(cluster.Health{Checks: []cluster.HealthCheck{{}}}))
	require.ErrorContains(t, err, "ID")
	_, err = r.Get(testContext(t), "a/b")
	require.ErrorContains(t, err, "name")
	_, err = r.Watch(testContext(t), "a/b")
	require.ErrorContains(t, err, "name")

	register(t, r, login("l1"))
	_, err = r.Register(testContext(t), login("l1"))
	require.ErrorIs(t, err, registry.ErrRegistered)
}

func TestRegister_AnIDThatAnotherHolds(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	a, b := start(t, params(endpoint)), start(t, params(endpoint))
	register(t, a, login("l1"))
	_, err := b.Register(testContext(t), login("l1"))
	require.ErrorIs(t, err, cluster.ErrIDTaken)
	require.ErrorIs(t, b.Deregister(testContext(t), "login", "l1"), registry.ErrNotRegistered)
	require.NoError(t, a.Deregister(testContext(t), "login", "l1"))
	register(t, b, login("l1"))
}

func TestLost_TellsOfAnIDThatAnotherTook(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	proxy := faultproxy.New(t, endpoint)
	p := params(proxy.Addr())
	p.TTL = time.Second
	told := make(chan string, 1)
	p.Lost = func(name, id string, err error) {
		require.ErrorIs(t, err, cluster.ErrIDTaken)
		told <- name + "/" + id
		panic("of the user's")
	}
	a, b := start(t, p), start(t, params(endpoint))
	register(t, a, login("l1"))
	away(t, proxy)
	register(t, b, login("l1")) // waits for the end of the lease
	require.NoError(t, proxy.Accept())
	select {
	case who := <-told:
		require.Equal(t, "login/l1", who)
	case <-time.After(patience):
		require.Fail(t, "nobody was told")
	}
	require.NoError(t, a.Deregister(testContext(t), "login", "l1"))
	register(t, a, login("l2"))
	eventually(t, sees(t, a, "login", "login/l1", "login/l2"), "under another id")
}

func TestLost_AfterTheLastRetry(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	proxy := faultproxy.New(t, endpoint)
	p := params(proxy.Addr())
	p.TTL, p.GrantTimeout, p.MaxRetries, p.RetryInterval = time.Second, 100*time.Millisecond, 2, 50*time.Millisecond
	lost := make(chan error, 1)
	p.Lost = func(_, _ string, err error) { lost <- err }
	a, watcher := start(t, p), start(t, params(endpoint))
	register(t, a, login("l1"))
	away(t, proxy)
	select {
	case err := <-lost:
		require.ErrorContains(t, err, "3 attempts")
	case <-time.After(patience):
		require.Fail(t, "nobody was told")
	}
	require.NoError(t, proxy.Accept())
	eventually(t, sees(t, watcher, "login"), "its lease has run out")
	require.NoError(t, a.Deregister(testContext(t), "login", "l1"))
	register(t, a, login("l1"))

	p.MaxRetries = -1
	_, err := registry.New(p)
	require.ErrorContains(t, err, "retries")
}

func TestRegister_GivesUp(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t))
	p := params(proxy.Addr())
	p.BootTimeout, p.RevokeTimeout = 5*time.Second, time.Second
	r := start(t, p)
	away(t, proxy)
	ctx, cancel := context.WithTimeoutCause(testContext(t), 200*time.Millisecond, errors.New("no time"))
	defer cancel()
	_, err := r.Register(ctx, login("l1"))
	require.ErrorContains(t, err, "no time")
	require.ErrorIs(t, r.Deregister(testContext(t), "login", "l1"), registry.ErrNotRegistered)
	require.NoError(t, proxy.Accept())
	register(t, r, login("l1"))
}

func TestRegistry_EtcdAwayAndBack(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	proxy := faultproxy.New(t, endpoint)
	a, b := start(t, params(endpoint)), start(t, params(proxy.Addr()))
	register(t, a, login("l1"))
	register(t, a, login("l2"))
	eventually(t, sees(t, b, "login", "login/l1", "login/l2"), "known")
	w := watch(t, b, "login")
	next(t, w)
	require.NoError(t, b.Degraded())

	away(t, proxy)
	eventually(t, func() bool { return b.Degraded() != nil }, "it says so")
	require.NoError(t, a.Deregister(testContext(t), "login", "l1"))
	register(t, a, login("l3"))
	require.Equal(t, []string{"login/l1", "login/l2"}, names(get(t, b, "login")), "what was last known")
	require.NoError(t, proxy.Accept())
	heard := []string{hears(t, w), hears(t, w)}
	require.Contains(t, heard, "up joined login/l3")
	require.True(t, strings.HasPrefix(heard[0], "down ") || strings.HasPrefix(heard[1], "down "), heard)
	eventually(t, func() bool { return b.Degraded() == nil }, "all is well")
	require.Equal(t, []string{"login/l2", "login/l3"}, names(get(t, b, "login")))
}

func TestRegistry_Health(t *testing.T) {
	t.Parallel()
	r := start(t, params(startEtcd(t)))
	var ill atomic.Bool
	ill.Store(true)
	check := cluster.HealthCheck{Name: "test", Check: func(context.Context) error {
		if ill.Load() {
			return errors.New("ill")
		}
		return nil
	}}
	_, err := r.Register(testContext(t), login("l1"), registry.WithHealth(cluster.Health{
		Checks: []cluster.HealthCheck{check}, Interval: 20 * time.Millisecond, Timeout: patience,
	}))
	require.NoError(t, err)
	register(t, r, login("l2"))
	w := watch(t, r, "login")
	eventually(t, sees(t, r, "login", "login/l2"), "kept out")
	next(t, w)
	ill.Store(false)
	require.Equal(t, "up joined login/l1", hears(t, w))
	ill.Store(true)
	require.Equal(t, "down left login/l1", hears(t, w))
	require.NoError(t, r.Deregister(testContext(t), "login", "l1"))
}

func TestEdit(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	a, b := start(t, params(endpoint)), start(t, params(endpoint))
	register(t, a, login("l1"))
	eventually(t, sees(t, b, "login", "login/l1"), "known")
	w := watch(t, b, "login")
	next(t, w)

	moved, bad := "10.0.0.8:80", "x,,y"
	require.NoError(t, a.Edit(testContext(t), "login", "l1", cluster.Edit{
		State: cluster.StatePaused, Metadata: map[string]*string{registry.MetadataAddresses: &moved, "zone": nil},
	}))
	c := next(t, w)
	require.Equal(t, registry.KindUpdate, c.Kind)
	require.Equal(t, []string{moved}, c.Instance.Addresses)
	require.Empty(t, c.Instance.Metadata)
	require.False(t, c.Instance.Available())

	weight := 7
	require.NoError(t, b.Edit(testContext(t), "login", "l1", cluster.Edit{Weight: &weight, IfRevision: c.Revision}), "another registry's, on behalf of an operator")
	require.ErrorIs(t, b.Edit(testContext(t), "login", "l1", cluster.Edit{Weight: &weight, IfRevision: c.Revision}), cluster.ErrRevision)
	require.Equal(t, 7, next(t, w).Instance.Weight)
	require.NoError(t, a.Edit(testContext(t), "login", "l1", cluster.Edit{State: cluster.StateUp}))
	c = next(t, w)
	require.Equal(t, 7, c.Instance.Weight, "the owner took it over")
	require.True(t, c.Instance.Available())

	require.ErrorContains(t, a.Edit(testContext(t), "login", "l1", cluster.Edit{Metadata: map[string]*string{registry.MetadataAddresses: &bad}}), "address")
	require.ErrorContains(t, a.Edit(testContext(t), "login", "l1", cluster.Edit{State: cluster.StateLeft}), "state")
	require.ErrorIs(t, a.Edit(testContext(t), "login", "l9", cluster.Edit{Weight: &weight}), cluster.ErrServerUnknown)
}

// Not parallel: the figure is of every etcd in this process.
func TestRegistry_HundredInstances(t *testing.T) { //nolint:paralleltest // see above
	endpoint := startEtcd(t)
	operator := rawClient(t, endpoint)
	r, other := start(t, params(endpoint)), start(t, params(endpoint))
	eventually(t, func() bool { return watchers(t) == 4 }, "one watch of services and one of servers each")
	var users sync.WaitGroup
	for n := range 100 {
		users.Go(func() {
			_, err := r.Register(testContext(t), registry.Instance{Name: fmt.Sprintf("s%d", n%7), ID: fmt.Sprintf("i%d", n)})
			require.NoError(t, err)
		})
	}
	users.Wait()
	eventually(t, func() bool { return len(get(t, other, "")) == 100 && len(get(t, r, "")) == 100 }, "all are known")
	leases, err := operator.Leases(testContext(t))
	require.NoError(t, err)
	require.Len(t, leases.Leases, 100)
	require.Equal(t, 4, watchers(t))

	r.BeforeShutdown(testContext(t))
	eventually(t, func() bool { return len(get(t, other, "")) == 0 }, "all left")
	stop(t, r)
	leases, err = operator.Leases(testContext(t))
	require.NoError(t, err)
	require.Empty(t, leases.Leases)
}

// watchers is how many watches etcd has, by its own metrics.
func watchers(t testing.TB) int {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "etcd_debugging_mvcc_watcher_total" {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	require.Fail(t, "etcd has no such metric")
	return 0
}

func TestRegistry_TwoOfOneClient(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	p := registry.Params{Client: rawClient(t, endpoint), Namespace: "t/", BootTimeout: patience}
	a, b := start(t, p), start(t, p)
	register(t, a, login("l1"))
	eventually(t, sees(t, b, "login", "login/l1"), "seen")
	stop(t, a)
	eventually(t, sees(t, b, "login"), "left at the end")
	register(t, b, login("l2"))
	_, err := p.Client.Get(testContext(t), "t")
	require.NoError(t, err, "the client is not closed")
}

func TestRegistry_OnlyWhileItRuns(t *testing.T) {
	t.Parallel()
	_, err := registry.New(registry.Params{TTL: time.Millisecond})
	require.ErrorContains(t, err, "endpoints")
	require.ErrorContains(t, err, "ttl")

	endpoint := startEtcd(t)
	r, err := registry.New(params(endpoint))
	require.NoError(t, err)
	refuses := func(what string) {
		_, err := r.Register(testContext(t), login("l1"))
		require.ErrorIs(t, err, cluster.ErrNotRunning)
		require.ErrorContains(t, err, what)
		_, err = r.Get(testContext(t), "login")
		require.ErrorIs(t, err, cluster.ErrNotRunning)
		_, err = r.Watch(testContext(t), "login")
		require.ErrorIs(t, err, cluster.ErrNotRunning)
		require.ErrorIs(t, r.Deregister(testContext(t), "login", "l1"), cluster.ErrNotRunning)
		require.ErrorIs(t, r.Edit(testContext(t), "login", "l1", cluster.Edit{}), cluster.ErrNotRunning)
	}
	refuses("call Init first")
	require.NoError(t, r.Init(testContext(t)))
	require.Error(t, r.Init(testContext(t)))
	require.Equal(t, "registry", r.Name())
	require.NoError(t, r.AfterInit(testContext(t)))
	register(t, r, login("l1"))
	stop(t, r)
	stop(t, r)
	refuses("it was shut down")
	require.ErrorContains(t, r.Init(testContext(t)), "make another")
	resp, err := rawClient(t, endpoint).Get(testContext(t), "t/x/services/login/l1")
	require.NoError(t, err)
	require.Zero(t, resp.Count, "deregistered on the way out")

	p := params("127.0.0.1:1")
	p.BootTimeout = 100 * time.Millisecond
	r, err = registry.New(p)
	require.NoError(t, err)
	require.ErrorContains(t, r.Init(testContext(t)), "127.0.0.1:1")
}
