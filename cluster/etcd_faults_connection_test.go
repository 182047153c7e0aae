package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

// halfOpenPatience is beyond gRPC's own 13 s and the lease after that.
const halfOpenPatience = 60 * time.Second

func TestE05_HalfOpenConnection(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy, operator := faultproxy.New(t, endpoint), rawClient(t, endpoint)
	p := etcdParams(backend("self"), proxy.Addr())
	p.TTL = 5 * time.Second
	p.Die = func(err error) { t.Errorf("it died: %v", err) }
	count := new(counters)
	p.Metrics = count
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(d, "self"), "registered")
	before, accepted := keyOf(t, operator, d.Self()).Kvs[0], proxy.Stats().Accepted

	proxy.Pause(faultproxy.Existing)
	start := time.Now()
	put(t, operator, backend("new"))
	soon := func(condition func() bool, what string) time.Duration {
		require.Eventually(t, condition, halfOpenPatience, 5*time.Millisecond, what)
		return time.Since(start)
	}
	redialed := soon(func() bool { return proxy.Stats().Accepted > accepted }, "noticed")
	seen := soon(sees(d, "new", "self"), "what happened meanwhile is known, the own key included")
	well := soon(func() bool { return d.IsConnected() && !d.Stale() && d.Registered() }, "all is well")
	after := keyOf(t, operator, d.Self())
	require.EqualValues(t, 1, after.Count)
	t.Logf("a new connection after %v, its view complete after %v, registered after %v; lease kept: %v, lost %d times",
		redialed, seen, well, after.Kvs[0].Lease == before.Lease, count.of("lost"))
	require.Zero(t, count.of("lost"), "the server never left the cluster")
	require.Equal(t, before.Lease, after.Kvs[0].Lease)
	put(t, operator, backend("later"))
	eventually(t, sees(d, "later", "new", "self"), "the watch goes on")
}

// slowGrant is a server whose next grant is answered a second late.
type slowGrant struct {
	proxy    *faultproxy.Proxy
	operator *clientv3.Client
	calls    *calls
	self     *EtcdDiscovery
}

func newSlowGrant(t *testing.T) *slowGrant {
	t.Helper()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	s := &slowGrant{proxy: faultproxy.New(t, endpoint), operator: rawClient(t, endpoint)}
	var once sync.Once
	s.calls = &calls{before: func(method string) {
		if method == "LeaseGrant" {
			once.Do(func() { s.proxy.Shape(faultproxy.Down, faultproxy.Shape{Delay: time.Second}) })
		}
	}}
	p := etcdParams(backend("self"), "")
	p.Client, p.Endpoints = watchedClient(t, s.proxy.Addr(), login{}, s.calls), nil
	p.GrantTimeout = 200 * time.Millisecond
	s.self = newEtcd(t, p)
	return s
}

func (s *slowGrant) leases(t testing.TB) []clientv3.LeaseStatus {
	t.Helper()
	resp, err := s.operator.Leases(testContext(t))
	require.NoError(t, err)
	return resp.Leases
}

func TestE13_SlowGrantIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSlowGrant(t)
	registered := make(chan error, 1)
	ctx := testContext(t)
	go func() { registered <- s.self.Register(ctx) }()
	eventually(t, func() bool { return len(s.leases(t)) == 1 }, "etcd granted a lease")
	late := s.leases(t)[0].ID
	require.False(t, pauseIsCut(t, 1500*time.Millisecond), "its answer comes")
	require.Zero(t, keyOf(t, s.operator, s.self.Self()).Count, "too late to be used")
	select {
	case err := <-registered:
		require.Fail(t, "Register returned", "%v", err)
	default:
	}
	s.proxy.Shape(faultproxy.Down, faultproxy.Shape{})
	require.NoError(t, <-registered)
	require.NotEqualValues(t, late, keyOf(t, s.operator, s.self.Self()).Kvs[0].Lease, "under a lease of its own")
	eventually(t, func() bool { return len(s.leases(t)) == 1 }, "the late one is gone")
	require.NotEqual(t, late, s.leases(t)[0].ID)
	require.True(t, s.self.Registered())
}

func TestE13_SlowGrantThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	s := newSlowGrant(t)
	registered := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { registered <- s.self.Register(ctx) }()
	eventually(t, func() bool { return s.calls.soFar()["LeaseGrant"] == 1 }, "a lease is asked for")
	require.False(t, pauseIsCut(t, 400*time.Millisecond), "it tries again")
	stop()
	require.ErrorIs(t, <-registered, context.Canceled)
	require.Equal(t, 1, s.calls.soFar()["LeaseGrant"])
	s.proxy.Shape(faultproxy.Down, faultproxy.Shape{})
	var revision int64
	eventually(t, func() bool {
		resp := keyOf(t, s.operator, s.self.Self())
		revision = resp.Header.Revision
		return resp.Count == 0 && len(s.leases(t)) == 0
	}, "the lease ran out, with nothing under it")
	require.NoError(t, s.self.SyncServers(testContext(t)))
	require.EqualValues(t, 1, revision, "nothing was ever written")
	require.False(t, s.self.Registered())
}

// flap breaks the connections in random ways and heals them again, until ctx ends.
func flap(ctx context.Context, p *faultproxy.Proxy, random *rand.Rand) {
	faults := []func(){
		func() { p.Cut(faultproxy.RST) },
		func() { p.Cut(faultproxy.FIN) },
		func() { _ = p.Refuse(); p.Cut(faultproxy.RST) },
		func() { p.Pause(faultproxy.All) },
		func() { p.Pause(faultproxy.Existing) },
		func() { p.HalfClose(faultproxy.Up) },
		func() { p.Shape(faultproxy.Both, faultproxy.Shape{Slice: 7, Delay: 5 * time.Millisecond}) },
	}
	moment := func() bool { return pause(ctx, time.Duration(10+random.IntN(140))*time.Millisecond) }
	for moment() {
		faults[random.IntN(len(faults))]()
		moment()
		p.Resume()
		_ = p.Accept()
		p.Shape(faultproxy.Both, faultproxy.Shape{})
	}
	p.Cut(faultproxy.RST) // also what a half-close left
}

// revoke takes leases away from whoever has them, until ctx ends.
func revoke(ctx context.Context, operator *clientv3.Client, random *rand.Rand) {
	for pause(ctx, time.Duration(random.IntN(200))*time.Millisecond) {
		resp, err := operator.Leases(ctx)
		if err != nil || len(resp.Leases) == 0 {
			continue
		}
		_, _ = operator.Revoke(ctx, resp.Leases[random.IntN(len(resp.Leases))].ID) // it may be gone already
	}
}

// use does with a server all that an app may, until ctx ends; it may fail, but not break.
func use(ctx context.Context, d *EtcdDiscovery, random *rand.Rand) {
	brief := func(fn func(context.Context) error) {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		_ = fn(ctx)
	}
	for n := 0; pause(ctx, time.Duration(random.IntN(5))*time.Millisecond); n++ {
		switch random.IntN(40) {
		case 0:
			brief(d.Deregister)
		case 1, 2, 3, 4:
			brief(d.Register)
		case 5, 6, 7, 8:
			brief(d.SyncServers)
		case 9, 10, 11, 12:
			brief(func(ctx context.Context) error { return say(ctx, d, fmt.Sprint(n)) })
		default:
			for _, s := range d.Servers() {
				_, _ = d.Server(s.ID)
			}
			_ = len(d.ServersByType("room"))
			_, _, _, _ = d.IsConnected(), d.Stale(), d.Registered(), d.Fenced()
			_ = d.LastSync()
		}
	}
}

// say has a server change its metadata.
func say(ctx context.Context, d *EtcdDiscovery, stack string) error {
	return d.Edit(ctx, Edit{Metadata: map[string]*string{"stack": &stack}})
}

func TestE16_FlappingProxy(t *testing.T) {
	t.Parallel()
	const servers = 4
	length := 3 * time.Second
	if longRows() {
		length = 10 * time.Second
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy, operator := faultproxy.New(t, endpoint), rawClient(t, endpoint)
	var all []*EtcdDiscovery
	var heard []*recorder
	count := new(counters)
	want := []string{}
	for n := range servers {
		p := etcdParams(backend(fmt.Sprintf("s%d", n)), proxy.Addr())
		p.TTL, p.RevokeTimeout, p.GrantTimeout, p.DialTimeout = time.Second, 100*time.Millisecond, 200*time.Millisecond, time.Second
		p.SyncInterval, p.Metrics = 50*time.Millisecond, count
		p.Die = func(err error) { t.Errorf("it died: %v", err) }
		d, r := newEtcd(t, p), new(recorder)
		d.AddListener(r)
		all, heard, want = append(all, d), append(heard, r), append(want, d.Self().ID)
	}

	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var users sync.WaitGroup
	users.Go(func() { flap(ctx, proxy, rand.New(rand.NewPCG(seed, 0))) })
	users.Go(func() { revoke(ctx, operator, rand.New(rand.NewPCG(seed, 99))) })
	for n := range 2 * servers {
		users.Go(func() { use(ctx, all[n%servers], rand.New(rand.NewPCG(seed, uint64(n+1)))) })
	}
	users.Wait()

	for _, d := range all {
		register(t, d)
	}
	for n, d := range all {
		eventually(t, func() bool {
			return sees(d, want...)() && d.Registered() && !d.Stale() && d.IsConnected()
		}, "all is well again")
		eventually(t, func() bool { return len(checkHistory(heard[n].events(), want)) == 0 }, "a consistent history")
	}
	eventually(t, func() bool { return len(leasesOf(t, operator)) == servers }, "one lease each")
	t.Logf("%d connections, %d events, %d leases lost", proxy.Stats().Accepted, len(heard[0].events()), count.of("lost"))
}

func leasesOf(t testing.TB, operator *clientv3.Client) []clientv3.LeaseStatus {
	t.Helper()
	resp, err := operator.Leases(testContext(t))
	require.NoError(t, err)
	return resp.Leases
}
