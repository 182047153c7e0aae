package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestE10_FiftyLeaseLosses(t *testing.T) {
	t.Parallel()
	const rounds = 50
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, count := rawClient(t, endpoint), new(counters)
	p := etcdParams(backend("self"), endpoint)
	p.Metrics = count
	d := newEtcd(t, p)
	register(t, d)
	running, start := d.link.Load().group.Running(), time.Now()
	for range rounds {
		lease := keyOf(t, operator, d.Self()).Kvs[0].Lease
		_, err := operator.Revoke(testContext(t), clientv3.LeaseID(lease))
		require.NoError(t, err)
		eventually(t, func() bool {
			kvs := keyOf(t, operator, d.Self()).Kvs
			return len(kvs) == 1 && kvs[0].Lease != lease && d.Registered()
		}, "put under another lease")
	}
	t.Logf("%d losses in %v", rounds, time.Since(start))
	leases := leasesOf(t, operator)
	require.Len(t, leases, 1, "one live lease")
	require.EqualValues(t, leases[0].ID, keyOf(t, operator, d.Self()).Kvs[0].Lease)
	require.Equal(t, running, d.link.Load().group.Running(), "no goroutine left over")
	require.Equal(t, rounds, count.of("lost"))
	eventually(t, sees(d, "self"), "in the view")
}

func TestE15_KilledServer(t *testing.T) {
	t.Parallel()
	const ttl, limit = 3 * time.Second, 1500 * time.Millisecond
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, heard := rawClient(t, endpoint), new(recorder)
	watchers := []*EtcdDiscovery{newEtcd(t, etcdParams(nil, endpoint)), newEtcd(t, etcdParams(nil, endpoint))}
	watchers[0].AddListener(heard)
	victim := spawn(t, childParams{ID: "victim", Endpoint: endpoint, TTL: ttl})
	for _, w := range watchers {
		eventually(t, sees(w, "victim"), "joined")
	}
	lease := clientv3.LeaseID(keyOf(t, operator, backend("victim")).Kvs[0].Lease)
	require.False(t, pauseIsCut(t, ttl+ttl/2), "its lease is renewed")

	victim.kill(t)
	killed := time.Now()
	for leaseLives(t, operator, lease) {
		require.False(t, pauseIsCut(t, 10*time.Millisecond))
	}
	ended := time.Now() // by etcd's clock
	for _, w := range watchers {
		require.Eventually(t, sees(w), patience, time.Millisecond)
		require.Empty(t, w.ServersByType("room"))
	}
	gone := time.Now()
	t.Logf("gone %v after the kill (TTL %v), %v after the end of the lease", gone.Sub(killed), ttl, gone.Sub(ended))
	require.Less(t, gone.Sub(killed), ttl+limit)
	require.Less(t, gone.Sub(ended), limit)
	eventually(t, heard.hears("add victim", "remove victim suspect"), "a crash, not a farewell")
}

// leaseLives reports whether a lease has not run out.
func leaseLives(t testing.TB, operator *clientv3.Client, lease clientv3.LeaseID) bool {
	t.Helper()
	left, err := operator.TimeToLive(testContext(t), lease)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return false
	}
	require.NoError(t, err)
	return left.TTL >= 0
}
