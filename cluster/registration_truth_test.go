package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

// Deregister that did not get through in time is heeded nevertheless.
func TestDeregister_NotHeardInTime(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy := faultproxy.New(t, endpoint)
	check, fault := switchable()
	p := etcdParams(backend("self"), proxy.Addr())
	p.TTL, p.RevokeTimeout = time.Minute, 2*time.Second
	p.Health = Health{Checks: []HealthCheck{check}, Interval: 10 * time.Millisecond, Failures: 1}
	d := newEtcd(t, p)
	register(t, d)
	proxy.Pause(faultproxy.All)
	broken := errors.New("broken")
	fault.Store(&broken)
	eventually(t, func() bool { return d.Unhealthy() != nil && !d.link.Load().own.held.Load() }, "it steps aside")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, d.Deregister(ctx))
	fault.Store(nil)
	eventually(t, func() bool { return d.Unhealthy() == nil }, "healthy")
	proxy.Resume()
	for range 40 {
		require.False(t, d.Registered(), "it does not come back")
		require.False(t, pauseIsCut(t, 50*time.Millisecond))
	}
}

// What is behind the pointers of an edit is the caller's again after the call.
func TestEdit_KeepsNoPointers(t *testing.T) {
	t.Parallel()
	d := newEtcd(t, etcdParams(backend("self"), startEtcd(t).EtcdEndpoints()[0]))
	weight, value := 5, "five"
	require.NoError(t, d.Edit(testContext(t), Edit{Weight: &weight, Metadata: map[string]*string{"n": &value}}))
	weight, value = 6, "six"
	s := d.link.Load().own.said
	s.adopt(d.Self())
	require.Equal(t, 5, d.Self().Weight)
	require.Equal(t, "five", d.Self().Metadata["n"])
}

// A panic of Die is survived.
func TestDie_Panics(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	p := etcdParams(backend("self"), endpoint)
	died := make(chan error, 1)
	p.Die = func(err error) { died <- err; panic("boom") }
	d := newEtcd(t, p)
	register(t, d)
	other := backend("self")
	other.Nonce = "other"
	put(t, operator, other) // under no lease: somebody who lives
	why := <-died
	require.ErrorIs(t, why, ErrIDTaken)
	require.ErrorContains(t, why, "delete it")
	eventually(t, func() bool { return !d.Registered() }, "given up")
	require.NoError(t, d.Deregister(testContext(t)), "it still answers")
}

// Register does not wait for health that is gone while it tries.
func TestRegister_FallsIllMeanwhile(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	check, fault := switchable()
	p := etcdParams(backend("self"), proxy.Addr())
	p.Health = Health{Checks: []HealthCheck{check}, Interval: 10 * time.Millisecond}
	d := newEtcd(t, p)
	away(t, proxy)
	done := make(chan error, 1)
	go func() { done <- d.Register(context.Background()) }()
	eventually(t, d.link.Load().own.wanted.Load, "it tries")
	broken := errors.New("broken")
	fault.Store(&broken)
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		require.Fail(t, "Register waits for health")
	}
	fault.Store(nil)
	require.NoError(t, proxy.Accept())
	eventually(t, d.Registered, "it registers when it is healthy")
}

// What somebody else wrote into the key and cannot be taken over is put right.
func TestE03_OwnKeyOverwrittenWithNonsense(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, watcher := rawClient(t, endpoint), newEtcd(t, etcdParams(nil, endpoint))
	d := newEtcd(t, etcdParams(backend("self"), endpoint))
	register(t, d)
	eventually(t, sees(watcher, "self"), "joined")
	for _, spoil := range []func(*Server){
		func(s *Server) { s.State = StateLeft },
		func(s *Server) { s.Frontend, s.Hostname = true, "elsewhere" },
	} {
		s := d.Self().clone()
		spoil(s)
		value, err := FolderServers.value(s)
		require.NoError(t, err)
		lease := keyOf(t, operator, s).Kvs[0].Lease
		_, err = operator.Put(testContext(t), "t/servers/room/self", string(value), clientv3.WithLease(clientv3.LeaseID(lease)))
		require.NoError(t, err)
		eventually(t, func() bool {
			s, ok := watcher.Server("self")
			return ok && present(s) && s.says(d.Self()) && !s.Frontend
		}, "as it was")
	}
}
