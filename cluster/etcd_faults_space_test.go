package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/embedded"
)

// fill writes until etcd has no space left.
func fill(t testing.TB, operator *clientv3.Client) {
	t.Helper()
	block := strings.Repeat("x", 256<<10)
	for n := range 1000 {
		_, err := operator.Put(testContext(t), fmt.Sprintf("fill/%d", n), block)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return
		}
		require.NoError(t, err)
	}
	require.Fail(t, "the quota has no effect")
}

// makeRoom does what an operator does when etcd has no space left.
func makeRoom(t testing.TB, operator *clientv3.Client, endpoint string) {
	t.Helper()
	remove(t, operator, "fill/", clientv3.WithPrefix())
	compact(t, operator)
	_, err := operator.Defragment(testContext(t), endpoint)
	require.NoError(t, err)
	_, err = operator.AlarmDisarm(testContext(t), &clientv3.AlarmMember{})
	require.NoError(t, err)
}

func TestE19_OutOfSpace(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	etcd, err := embedded.Start(testContext(t), embedded.WithoutNATS(), embedded.WithEtcdQuota(4<<20))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, etcd.Stop(testContext(t))) })
	endpoint := etcd.EtcdEndpoints()[0]
	operator, count := rawClient(t, endpoint), new(counters)
	p := etcdParams(backend("first"), endpoint)
	p.TTL, p.Metrics = ttl, count
	first := newEtcd(t, p)
	register(t, first)
	eventually(t, sees(first, "first"), "registered")
	before := keyOf(t, operator, first.Self()).Kvs[0]

	fill(t, operator)
	p = etcdParams(backend("second"), endpoint)
	p.BootTimeout = ttl
	second := newEtcd(t, p)
	require.Equal(t, []string{"first"}, ids(second.Servers()), "it can be read")
	start := time.Now()
	err = second.Register(testContext(t))
	require.ErrorIs(t, err, rpctypes.ErrNoSpace)
	for _, advice := range []string{"no space", "compact", "defragment", "disarm"} {
		require.ErrorContains(t, err, advice)
	}
	require.ErrorIs(t, say(testContext(t), first, "green"), rpctypes.ErrNoSpace)
	for _, d := range []*EtcdDiscovery{first, second} {
		eventually(t, func() bool { err := d.Degraded(); return err != nil && strings.Contains(err.Error(), "no space") }, "known")
	}
	require.False(t, pauseIsCut(t, 3*ttl-time.Since(start)), "three TTLs")
	require.Equal(t, before, keyOf(t, operator, first.Self()).Kvs[0], "its lease goes on, whatever else it has to say")
	require.True(t, first.Registered())
	require.Zero(t, count.of("lost"))

	makeRoom(t, operator, endpoint)
	register(t, second)
	eventually(t, sees(first, "first", "second"), "registered")
	for _, d := range []*EtcdDiscovery{first, second} {
		eventually(t, func() bool { s, _ := d.Server("first"); return s.Metadata["stack"] == "green" }, "what it had to say is said")
		eventually(t, func() bool { return d.Degraded() == nil }, "all is well")
	}
}
