package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

func TestTerm_NoTaskBeginsInOneThatEnds(t *testing.T) {
	t.Parallel()
	lease := &leaseTerm{born: time.Now()}
	lease.confirmed(1, time.Now(), time.Minute)
	over := newTerm(context.Background(), leadership{token: 7, lease: 1}, lease)
	require.True(t, over.enter())
	over.end(ErrLeadershipLost) // as the first thing that finish does
	require.False(t, over.enter())
	over.leave()
	require.True(t, over.finish(context.Background(), time.Minute))
}

// When renewals are confirmed so late that the lease is not certain meanwhile,
// the leader stops; when they are in time again it leads again, though nothing
// changed in etcd.
func TestLeader_AfterALateRenewal(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	p := etcdParams(backend("a"), proxy.Addr())
	p.TTL = time.Second
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, d.IsLeader, "leads")
	proxy.Shape(faultproxy.Down, faultproxy.Shape{Delay: 800 * time.Millisecond})
	eventually(t, func() bool { return !d.IsLeader() }, "not for certain")
	proxy.Shape(faultproxy.Down, faultproxy.Shape{})
	eventually(t, func() bool { return d.Registered() && d.IsLeader() }, "leads again")
}

// A former leader that is registered again before its view is new does not
// believe the old view.
func TestRunAsLeader_OldView(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy := faultproxy.New(t, endpoint)
	var slow atomic.Bool
	release := make(chan struct{})
	see := sync.OnceFunc(func() { close(release) })
	p := etcdParams(backend("a"), proxy.Addr())
	p.Filter = func(*Server) bool {
		if slow.Load() {
			<-release
		}
		return true
	}
	leader := newEtcd(t, p)
	register(t, leader)
	heir := newEtcd(t, etcdParams(backend("b"), endpoint))
	register(t, heir)
	t.Cleanup(see)
	leads(t, "a", leader, heir)
	task := new(singleton)
	ctx, stop := context.WithCancel(context.Background())
	var runners sync.WaitGroup
	defer runners.Wait()
	defer stop()
	for _, d := range []*EtcdDiscovery{leader, heir} {
		runners.Go(func() { _ = d.RunAsLeader(ctx, "room", task.run) })
	}
	eventually(t, func() bool { return task.running.Load() == 1 }, "runs")
	away(t, proxy)
	leads(t, "b", heir)
	eventually(t, func() bool { return task.starts.Load() == 2 && task.running.Load() == 1 }, "the heir runs it")
	slow.Store(true)
	require.NoError(t, proxy.Accept())
	eventually(t, leader.Registered, "registered again")
	require.Never(t, leader.IsLeader, 300*time.Millisecond, 5*time.Millisecond)
	see()
	eventually(t, func() bool { l, _ := leader.Leader("room"); return l.ID == "b" }, "its view is new")
	require.EqualValues(t, 1, task.most.Load(), "never two")
}
