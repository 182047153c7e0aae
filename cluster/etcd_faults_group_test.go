package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/embedded"
)

// startGroup runs three etcd nodes.
func startGroup(t testing.TB) *embedded.Cluster {
	t.Helper()
	c, err := embedded.Start(testContext(t), embedded.WithoutNATS(), embedded.WithEtcdNodes(3))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c
}

// leaderOfEtcd is the node that leads the group, which on a busy machine elects
// another at any time and has none meanwhile.
func leaderOfEtcd(t testing.TB, etcd *embedded.Cluster) int {
	t.Helper()
	node := -1
	eventually(t, func() bool { node = etcd.EtcdLeader(); return node >= 0 }, "etcd has a leader")
	return node
}

// The servers are no members of the group: they take part through whichever node
// lives.
func TestE21_LeaderOfEtcdKilled(t *testing.T) {
	t.Parallel()
	etcd := startGroup(t)
	join := func(self *Server, count *counters) *EtcdDiscovery {
		p := etcdParams(self, "")
		p.Endpoints, p.TTL, p.Metrics = etcd.EtcdEndpoints(), 5*time.Second, count
		d := newEtcd(t, p)
		if self != nil {
			register(t, d)
		}
		return d
	}
	count := new(counters)
	watcher, heard := join(nil, count), new(recorder)
	a, b := join(backend("a"), count), join(backend("b"), count)
	eventually(t, sees(watcher, "a", "b"), "joined")
	leads(t, "a", watcher, a, b)
	watcher.AddListener(heard)
	for round := range 2 {
		killed := leaderOfEtcd(t, etcd)
		require.NoError(t, etcd.StopEtcdNode(testContext(t), killed))
		down := time.Now()
		weight := round + 1
		eventually(t, func() bool { return a.Edit(shortly(t), weigh(weight)) == nil }, "etcd is written again")
		eventually(t, func() bool { s, _ := watcher.Server("a"); return s.Weight == weight }, "and heard")
		t.Logf("node %d, the leader, killed: written and heard again after %v", killed, time.Since(down))
		require.NoError(t, etcd.RestartEtcdNode(testContext(t), killed))
	}
	require.True(t, a.Registered() && b.Registered())
	leads(t, "a", watcher, a, b)
	require.Zero(t, count.of("lost"), "the registration holds")
	require.NoError(t, b.Edit(testContext(t), stack("green")))
	eventually(t, func() bool { s, _ := watcher.Server("b"); return s.Metadata["stack"] == "green" }, "it goes on")
	for _, e := range heard.events() {
		require.NotContains(t, e, "remove", "no flap")
	}
}

// shortly is the time for one attempt.
func shortly(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A holder that waits out the lease of a crashed server is not misled by a new
// leader of etcd, which gives every lease its full time again.
func TestE21_RestartWhileTheLeaderOfEtcdChanges(t *testing.T) {
	t.Parallel()
	etcd := startGroup(t)
	p := etcdParams(backend("self"), "")
	p.Endpoints, p.TTL = etcd.EtcdEndpoints(), 3*time.Second
	first := newEtcd(t, p)
	register(t, first)
	crash(t, first)
	p.Self = backend("self")
	second := newEtcd(t, p)
	registered := make(chan error, 1)
	go func() { registered <- second.Register(testContext(t)) }()
	eventually(t, func() bool { return second.link.Load().own.wanted.Load() }, "it waits")
	killed := leaderOfEtcd(t, etcd)
	require.NoError(t, etcd.StopEtcdNode(testContext(t), killed))
	require.NoError(t, <-registered)
	require.NoError(t, etcd.RestartEtcdNode(testContext(t), killed))
}

// Without a majority nothing can be written, and that is said.
func TestE21_WithoutAMajority(t *testing.T) {
	t.Parallel()
	etcd := startGroup(t)
	p := etcdParams(backend("self"), "")
	p.Endpoints = etcd.EtcdEndpoints()
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(d, "self"), "joined")
	for n := range 2 {
		require.NoError(t, etcd.StopEtcdNode(testContext(t), n))
	}
	eventually(t, func() bool { return d.Degraded() != nil }, "degraded")
	eventually(t, func() bool { return !d.Registered() }, "the lease cannot be renewed")
	require.Equal(t, []string{"self"}, ids(d.Servers()), "the last view stays")
	t.Log(d.Degraded())
	for n := range 2 {
		require.NoError(t, etcd.RestartEtcdNode(testContext(t), n))
	}
	eventually(t, func() bool { return d.Registered() && d.Degraded() == nil && sees(d, "self")() }, "all is well")
}

// Fifty servers that do nothing cost etcd no Raft write at all: renewals of
// leases are none.
func TestIdleServersWriteNothing(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	var all []*EtcdDiscovery
	for n := range 50 {
		p := etcdParams(backend(fmt.Sprintf("s%02d", n)), etcd.EtcdEndpoints()[0])
		p.TTL = 3 * time.Second
		d := newEtcd(t, p)
		register(t, d)
		all = append(all, d)
	}
	leads(t, "s00", all...)
	index := func() uint64 {
		n, err := etcd.EtcdRaftIndex(testContext(t))
		require.NoError(t, err)
		return n
	}
	renewed := func() int64 { return all[7].link.Load().own.lease.ends.Load() }
	before, since := index(), renewed()
	eventually(t, func() bool { return renewed() > since+int64(2*time.Second) }, "leases are renewed")
	after := index()
	t.Logf("50 idle servers, leases renewed two times each: %d Raft entries written", after-before)
	require.Equal(t, before, after)
}
