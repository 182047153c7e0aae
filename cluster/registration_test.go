package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

func weigh(n int) Edit { return Edit{Weight: &n} }

func TestEditServer_TheOwnerTakesItOver(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	admin, d := newEtcd(t, etcdParams(nil, endpoint)), newEtcd(t, etcdParams(backend("self"), endpoint))
	register(t, d)
	eventually(t, sees(admin, "self"), "joined")
	lease := keyOf(t, operator, d.Self()).Kvs[0].Lease

	got, err := admin.EditServer(testContext(t), "self", Edit{State: StatePaused, Metadata: stack("green").Metadata})
	require.NoError(t, err)
	require.Equal(t, StatePaused, got.State)
	kv := keyOf(t, operator, d.Self()).Kvs[0]
	require.Equal(t, lease, kv.Lease, "under the lease that it was under")
	require.Equal(t, kv.ModRevision, got.Revision)
	require.Equal(t, kv.CreateRevision, got.Epoch)
	eventually(t, func() bool { return d.Self().State == StatePaused && d.Self().Metadata["stack"] == "green" }, "taken over")

	require.NoError(t, d.Edit(testContext(t), weigh(7)), "the owner edits something else")
	eventually(t, func() bool { s, _ := admin.Server("self"); return s.Weight == 7 }, "seen")
	s, _ := admin.Server("self")
	require.Equal(t, StatePaused, s.State, "and nothing is undone")
	require.Equal(t, "green", s.Metadata["stack"])
}

func TestEditServer_ComparesAndSets(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	d := newEtcd(t, etcdParams(backend("self"), endpoint))
	register(t, d)
	eventually(t, sees(d, "self"), "joined")
	first := keyOf(t, operator, d.Self()).Kvs[0].ModRevision

	edit := weigh(1)
	edit.IfRevision = first
	require.NoError(t, d.Edit(testContext(t), edit))
	edit = weigh(2)
	edit.IfRevision = first
	require.ErrorIs(t, d.Edit(testContext(t), edit), ErrRevision)
	eventually(t, func() bool { return d.Self().Weight == 1 }, "the first holds")

	_, err := d.EditServer(testContext(t), "nobody", weigh(1))
	require.ErrorIs(t, err, ErrServerUnknown)
	put(t, operator, backend("pitaya")) // without a nonce
	eventually(t, sees(d, "pitaya", "self"), "joined")
	_, err = d.EditServer(testContext(t), "pitaya", weigh(1))
	require.ErrorContains(t, err, "Pitaya")
	_, err = operator.Put(testContext(t), "t/servers/room/newer",
		`{"id":"newer","type":"room","metadata":{},"frontend":false,"hostname":"","cereus":{"v":2,"nonce":"n","caps":[],"state":"up","weight":0,"zone":"eu"}}`)
	require.NoError(t, err)
	eventually(t, sees(d, "newer", "pitaya", "self"), "joined")
	_, err = d.EditServer(testContext(t), "newer", weigh(1))
	require.ErrorContains(t, err, "newer version")
}

// Ten people edit one server at once, each another key: nothing gets lost.
func TestEdit_AtOnce(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	admin, d := newEtcd(t, etcdParams(nil, endpoint)), newEtcd(t, etcdParams(backend("self"), endpoint))
	register(t, d)
	eventually(t, sees(admin, "self"), "joined")
	want := map[string]string{"stack": "blue"}
	var people sync.WaitGroup
	for _, who := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		want[who] = who
		people.Go(func() {
			edit := Edit{Metadata: map[string]*string{who: &who}}
			if who < "f" {
				require.NoError(t, d.Edit(testContext(t), edit))
				return
			}
			_, err := admin.EditServer(testContext(t), "self", edit)
			require.NoError(t, err)
		})
	}
	people.Wait()
	eventually(t, func() bool { s, _ := admin.Server("self"); return len(s.Metadata) == len(want) }, "all are there")
	s, _ := admin.Server("self")
	require.Equal(t, want, s.Metadata)
	eventually(t, func() bool { return len(d.Self().Metadata) == len(want) }, "the server knows")
}

func TestPause_SurvivesTheLossOfTheLease(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy, operator := faultproxy.New(t, endpoint), rawClient(t, endpoint)
	watcher := newEtcd(t, etcdParams(nil, endpoint))
	p := etcdParams(backend("self"), proxy.Addr())
	p.TTL = time.Second
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(watcher, "self"), "joined")
	for range 3 {
		d.Pause()
	}
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 0 }, "given no work")
	require.Len(t, watcher.Servers(), 1)

	away(t, proxy)
	eventually(t, func() bool { return !d.Registered() && keyOf(t, operator, d.Self()).Count == 0 }, "the lease is lost")
	d.Pause()
	require.NoError(t, proxy.Accept())
	eventually(t, d.IsConnected, "etcd is back")
	eventually(t, func() bool { return d.Registered() && keyOf(t, operator, d.Self()).Count == 1 }, "registered again")
	eventually(t, sees(watcher, "self"), "heard")
	require.Empty(t, watcher.ServersByType("room"), "still paused")
	require.Equal(t, StatePaused, d.Self().State)
	for range 3 {
		d.Resume()
	}
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 1 }, "back")
}

func TestPause_NeverBlocks(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	d := newEtcd(t, etcdParams(backend("self"), proxy.Addr()))
	register(t, d)
	eventually(t, sees(d, "self"), "joined")
	proxy.Pause(faultproxy.All)
	start := time.Now()
	for range 100 {
		d.Pause()
		d.Resume()
	}
	d.Pause()
	require.Less(t, time.Since(start), patience/2)
	require.Equal(t, StatePaused, d.Self().State, "known here at once")
	proxy.Resume()
	eventually(t, func() bool { s, _ := d.Server("self"); return s.State == StatePaused }, "written when etcd answers")
}

func TestEdit_WhileEtcdIsAwayIsAWish(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	p := etcdParams(backend("self"), proxy.Addr())
	p.TTL = time.Minute
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(d, "self"), "joined")
	away(t, proxy)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	require.Error(t, d.Edit(ctx, weigh(3)))
	require.NoError(t, proxy.Accept())
	eventually(t, func() bool { s, _ := d.Server("self"); return s.Weight == 3 }, "written when etcd is back")
}

// What one call waits for is not told to another as its error.
func TestEdit_IsNotInterruptedByCommands(t *testing.T) {
	t.Parallel()
	d := newEtcd(t, etcdParams(backend("self"), startEtcd(t).EtcdEndpoints()[0]))
	register(t, d)
	var calls sync.WaitGroup
	for n := range 50 {
		calls.Go(func() { require.NoError(t, d.Edit(testContext(t), weigh(n))) })
		calls.Go(func() { require.NoError(t, d.Register(testContext(t))) })
	}
	calls.Wait()
	eventually(t, func() bool { s, ok := d.Server("self"); return ok && s.Weight == d.Self().Weight }, "the last holds")
}

// A TTL of one second reads as zero all the time.
func TestE14_ShortestLease(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	p := etcdParams(backend("self"), endpoint)
	p.TTL = time.Second
	first := newEtcd(t, p)
	register(t, first)
	p.Self = backend("self")
	second := newEtcd(t, p)
	// A loaded machine may let such a lease run out.
	eventually(t, func() bool { return errors.Is(second.AwaitID(testContext(t)), ErrIDTaken) }, "taken")
	if err := second.Register(testContext(t)); err == nil {
		eventually(t, func() bool { return !first.Registered() }, "one of them")
		return
	}
	crash(t, first)
	require.NoError(t, second.AwaitID(testContext(t)))
	register(t, second)
}

// One answer of etcd that does not come in time does not end a start.
func TestE18_WhoHoldsAnIDIsAskedAgain(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	p := etcdParams(backend("self"), proxy.Addr())
	p.GrantTimeout, p.BootTimeout = 100*time.Millisecond, patience
	d := newEtcd(t, p)
	proxy.Pause(faultproxy.All)
	answer := make(chan error, 1)
	go func() { answer <- d.AwaitID(testContext(t)) }()
	select {
	case err := <-answer:
		require.Fail(t, "it gave up", "%v", err)
	case <-time.After(5 * p.GrantTimeout):
	}
	proxy.Resume()
	require.NoError(t, <-answer)
}

func TestDeregister_WithoutAnyTimeLeft(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	d := newEtcd(t, etcdParams(backend("self"), endpoint))
	register(t, d)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	d.BeforeShutdown(over)
	require.Zero(t, keyOf(t, operator, d.Self()).Count)
}

// An operator may bring a paused server back also after an outage of etcd.
func TestPause_AnOperatorResumesAfterAnOutage(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	watcher := newEtcd(t, etcdParams(nil, etcd.EtcdEndpoints()[0]))
	p := etcdParams(backend("self"), etcd.EtcdEndpoints()[0])
	p.TTL = time.Second
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(watcher, "self"), "joined")
	_, err := watcher.EditServer(testContext(t), "self", Edit{State: StatePaused})
	require.NoError(t, err)
	eventually(t, func() bool { return d.Self().State == StatePaused }, "taken over")
	require.NoError(t, etcd.StopEtcd(testContext(t)))
	eventually(t, func() bool { return !d.Registered() }, "the lease may have ended")
	require.NoError(t, etcd.RestartEtcd(testContext(t)))
	eventually(t, func() bool { return d.Registered() && sees(watcher, "self")() && !watcher.Stale() }, "back, paused")
	_, err = watcher.EditServer(testContext(t), "self", Edit{State: StateUp})
	require.NoError(t, err)
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 1 && d.Self().State == StateUp }, "up")
}

func TestPause_BeforeTheStart(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	watcher, heard := newEtcd(t, etcdParams(nil, endpoint)), new(recorder)
	watcher.AddListener(heard)
	d, err := NewEtcdDiscovery(etcdParams(backend("self"), endpoint))
	require.NoError(t, err)
	d.Pause()
	require.Equal(t, StatePaused, d.Self().State)
	require.NoError(t, d.Init(testContext(t)))
	t.Cleanup(func() { require.NoError(t, d.Shutdown(context.Background())) })
	register(t, d)
	eventually(t, sees(watcher, "self"), "joined")
	require.Empty(t, watcher.ServersByType("room"), "it registered paused")
	d.Resume()
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 1 }, "up")
}

// A key with a foreign value under our own lease, which a late renewal of ours
// prolongs, is no sign of another process.
func TestE14_ForeignValueUnderTheOwnLease(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	died := make(chan error, 1)
	p := etcdParams(backend("self"), endpoint)
	p.Die = func(err error) { died <- err }
	d := newEtcd(t, p)
	register(t, d)
	lease := clientv3.LeaseID(keyOf(t, operator, d.Self()).Kvs[0].Lease)
	_, err := operator.Put(testContext(t), "t/servers/room/self", `{"id":"self","type":"room"}`, clientv3.WithIgnoreLease())
	require.NoError(t, err)
	eventually(t, func() bool { return !d.Registered() }, "lost")
	for range 5 { // as renewals do that were on their way
		_, err := operator.KeepAliveOnce(testContext(t), lease)
		require.NoError(t, err)
		require.True(t, pause(testContext(t), 300*time.Millisecond))
	}
	eventually(t, d.Registered, "it waits for its own lease to end, and registers again")
	require.Empty(t, died)
}
