package embedded_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/embedded"
)

func startGroup(t *testing.T, n int, opts ...embedded.Option) *embedded.Cluster {
	t.Helper()
	return start(t, append(opts, embedded.WithoutNATS(), embedded.WithEtcdNodes(n))...)
}

// requireWritable puts and gets through one node only.
func requireWritable(t *testing.T, endpoint, value string) {
	t.Helper()
	ctx := testContext(t)
	cli := dial(t, endpoint)
	_, err := cli.Put(ctx, "k", value)
	require.NoError(t, err)
	got, err := cli.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, value, string(got.Kvs[0].Value))
}

func leaderOf(t *testing.T, c *embedded.Cluster) int {
	t.Helper()
	require.Eventually(t, func() bool { return c.EtcdLeader() >= 0 }, long, time.Millisecond)
	return c.EtcdLeader()
}

func TestEtcdNodesAreOneGroup(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 5} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			c := startGroup(t, n)
			require.Len(t, c.EtcdEndpoints(), n)
			require.GreaterOrEqual(t, c.EtcdLeader(), 0, "Start waits for a leader")
			require.Less(t, c.EtcdLeader(), n)
			for i, endpoint := range c.EtcdEndpoints() {
				requireWritable(t, endpoint, strconv.Itoa(i))
			}
			members, err := dial(t, c.EtcdEndpoints()[0]).MemberList(testContext(t))
			require.NoError(t, err)
			require.Len(t, members.Members, n)
		})
	}
}

func TestEtcdLeaderDies(t *testing.T) {
	t.Parallel()
	c := startGroup(t, 3)
	ctx := testContext(t)
	cli := dial(t, c.EtcdEndpoints()...)
	lease, err := cli.Grant(ctx, 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, lease.TTL, "leases as short as a second, for tests of crashes")

	old := leaderOf(t, c)
	require.NoError(t, c.StopEtcdNode(ctx, old))
	require.NoError(t, c.StopEtcdNode(ctx, old), "stopping twice does nothing")
	require.NotEqual(t, old, c.EtcdLeader(), "a stopped node does not lead")
	_, err = net.DialTimeout("tcp", c.EtcdEndpoints()[old], time.Second)
	require.Error(t, err)
	next := leaderOf(t, c)
	require.NotEqual(t, old, next)
	requireWritable(t, c.EtcdEndpoints()[next], "without the old leader")

	require.NoError(t, c.RestartEtcdNode(ctx, old))
	got, err := dial(t, c.EtcdEndpoints()[old]).Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "without the old leader", string(got.Kvs[0].Value))
}

func TestEtcdWithoutMajority(t *testing.T) {
	t.Parallel()
	c := startGroup(t, 3)
	ctx := testContext(t)
	requireWritable(t, c.EtcdEndpoints()[0], "before")
	require.NoError(t, c.StopEtcdNode(ctx, 1))
	require.NoError(t, c.StopEtcdNode(ctx, 2))
	require.Eventually(t, func() bool { return c.EtcdLeader() == -1 }, long, time.Millisecond)
	_, err := dial(t, c.EtcdEndpoints()[0]).Get(ctx, "k", clientv3.WithSerializable())
	require.NoError(t, err, "the node itself serves")

	require.NoError(t, c.StopEtcdNode(ctx, 0))
	require.NoError(t, c.RestartEtcdNode(ctx, 1), "one of three starts, but cannot serve")
	require.Equal(t, -1, c.EtcdLeader())
	require.NoError(t, c.StopEtcdNode(ctx, 1), "a node that is not ready stops too")
	require.NoError(t, c.RestartEtcdNode(ctx, 1))
	require.NoError(t, c.RestartEtcdNode(ctx, 2))
	require.GreaterOrEqual(t, c.EtcdLeader(), 1, "two of three have a leader")
	got, err := dial(t, c.EtcdEndpoints()[1:]...).Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "before", string(got.Kvs[0].Value))
}

func TestRestartEtcdGroup(t *testing.T) {
	t.Parallel()
	c := startGroup(t, 3)
	ctx := testContext(t)
	before := c.EtcdEndpoints()
	requireWritable(t, before[0], "v")

	require.NoError(t, c.StopEtcd(ctx))
	require.Equal(t, -1, c.EtcdLeader())
	require.NoError(t, c.RestartEtcd(ctx))
	require.Equal(t, before, c.EtcdEndpoints())
	require.EqualValues(t, 1, count(ctx, t, c))
	require.NoError(t, c.RestartEtcd(ctx), "a running group starts again")

	require.NoError(t, c.RestartEtcdEmpty(ctx))
	require.Equal(t, before, c.EtcdEndpoints())
	got, err := dial(t, before...).Get(ctx, "k")
	require.NoError(t, err)
	require.Zero(t, got.Count)
	require.EqualValues(t, 1, got.Header.Revision)
}

func TestStopEtcdNodeIsQuickWithOpenWatches(t *testing.T) {
	t.Parallel()
	c := startGroup(t, 3)
	for i, endpoint := range c.EtcdEndpoints() {
		watch := dial(t, endpoint).Watch(testContext(t), "k", clientv3.WithCreatedNotify())
		require.True(t, (<-watch).Created)
		began := time.Now()
		require.NoError(t, c.StopEtcdNode(testContext(t), i))
		require.Less(t, time.Since(began), 4*time.Second)
	}
}

func TestEtcdNodeIsChecked(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutNATS())
	ctx := testContext(t)
	require.Equal(t, 0, c.EtcdLeader())
	require.NoError(t, c.StopEtcdNode(ctx, 0))
	require.NoError(t, c.RestartEtcdNode(ctx, 0), "one node is a group too")
	for _, i := range []int{-1, 1} {
		require.ErrorContains(t, c.StopEtcdNode(ctx, i), "there is no etcd node "+strconv.Itoa(i)+": choose 0 to 0")
		require.ErrorContains(t, c.RestartEtcdNode(ctx, i), "there is no etcd node")
	}
	none := start(t, embedded.WithoutEtcd())
	require.ErrorIs(t, none.StopEtcdNode(ctx, 0), embedded.ErrNotStarted)
	require.ErrorIs(t, none.RestartEtcdNode(ctx, 0), embedded.ErrNotStarted)
	require.Equal(t, -1, none.EtcdLeader())
	_, err := none.EtcdRaftIndex(ctx)
	require.ErrorIs(t, err, embedded.ErrNotStarted)
}

func TestDirKeepsAGroup(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	dir := t.TempDir()
	run := func(n int, opts ...embedded.Option) (*embedded.Cluster, error) {
		return embedded.Start(ctx, append(opts, embedded.WithDir(dir), embedded.WithoutNATS(), embedded.WithEtcdNodes(n))...)
	}
	first, err := run(3, embedded.WithDurableWrites())
	require.NoError(t, err)
	requireWritable(t, first.EtcdEndpoints()[1], "kept")
	require.NoError(t, first.Stop(ctx))

	second, err := run(3)
	require.NoError(t, err)
	require.EqualValues(t, 1, count(ctx, t, second))
	require.NoError(t, second.Stop(ctx))

	other, err := run(1)
	require.NoError(t, err)
	require.EqualValues(t, 0, count(ctx, t, other), "another size has its own data")
	require.NoError(t, other.Stop(ctx))

	peers := filepath.Join(dir, "etcd-3", "peers")
	text, err := os.ReadFile(peers)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:"+strings.Fields(string(text))[1])
	require.NoError(t, err)
	_, err = run(3)
	require.ErrorIs(t, err, embedded.ErrPortInUse)
	require.ErrorContains(t, err, "embedded.WithDir")
	require.NoError(t, l.Close())

	for text, hint := range map[string]string{"1\n2\n": "has 2 ports instead of 3", "1\n2\n99999\n": "line 3 is not a port"} {
		require.NoError(t, os.WriteFile(peers, []byte(text), 0o600))
		_, err = run(3)
		require.ErrorContains(t, err, hint)
	}
}

func TestGroupOnAChosenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	opts := []embedded.Option{embedded.WithoutNATS(), embedded.WithEtcdNodes(3), embedded.WithEtcdPort(port)}
	_, err = embedded.Start(testContext(t), opts...)
	require.ErrorIs(t, err, embedded.ErrPortInUse)
	require.ErrorContains(t, err, "embedded.WithEtcdPort")
	require.NoError(t, l.Close())
	c := start(t, opts...)
	require.Equal(t, "127.0.0.1:"+strconv.Itoa(port), c.EtcdEndpoints()[0])
}

// A server that a Restart brings up while Stop takes everything down must not
// outlive it.
func TestStopBeatsRestart(t *testing.T) {
	t.Parallel()
	for range 5 {
		c, err := embedded.Start(testContext(t))
		require.NoError(t, err)
		restarts := map[string]func(context.Context) error{
			"etcd": c.RestartEtcd,
			"nats": func(ctx context.Context) error { return c.RestartNATS(ctx, 0) },
		}
		busy, ended := make(chan struct{}, 64), make(chan struct{}, 2)
		for range restarts {
			busy <- struct{}{}
		}
		for _, restart := range restarts {
			go func() {
				defer func() { ended <- struct{}{} }()
				for restart(testContext(t)) == nil {
					select {
					case busy <- struct{}{}:
					default:
					}
				}
			}()
		}
		for range 4 {
			receive(t, busy)
		}
		require.NoError(t, c.Stop(testContext(t)))
		for _, address := range append(c.EtcdEndpoints(), strings.TrimPrefix(c.NATSURL(), "nats://")) {
			_, err := net.DialTimeout("tcp", address, time.Second)
			require.Error(t, err)
		}
		receive(t, ended)
		receive(t, ended)
		require.NoError(t, c.Stop(testContext(t)))
		require.ErrorContains(t, c.RestartEtcdEmpty(testContext(t)), "begin a new one with Start")
		require.ErrorContains(t, c.RestartNATS(testContext(t), 0), "begin a new one with Start")
	}
}
