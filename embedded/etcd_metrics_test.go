package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/embedded"
)

// childEnv turns the test binary into a process with nothing but one etcd,
// whose metrics are its own.
const childEnv = "CEREUSTEST_EMBEDDED_CHILD"

// childMain says where its etcd is and lives until its standard input ends.
func childMain() int {
	ctx := context.Background()
	c, err := embedded.Start(ctx, embedded.WithoutNATS())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(c.EtcdEndpoints()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := c.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func startChild(t *testing.T) (endpoint string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

const (
	committed = "etcd_server_proposals_committed_total"
	applied   = "etcd_server_proposals_applied_total"
)

// A process with one etcd publishes its own numbers.
func TestEtcdMetricOfAProcess(t *testing.T) {
	t.Parallel()
	endpoint := startChild(t)
	cli := dial(t, endpoint)
	read := func(name string) float64 {
		value, err := embedded.EtcdMetric(testContext(t), endpoint, name)
		require.NoError(t, err)
		return value
	}
	requireCounts(t, cli, func() uint64 {
		_, err := cli.Get(testContext(t), "k") // linearizable: all that is committed is applied
		require.NoError(t, err)
		require.InDelta(t, read(committed), read(applied), 0.1)
		return uint64(read(applied))
	})
	requests := read("grpc_server_handled_total")
	_, err := cli.Get(testContext(t), "k")
	require.NoError(t, err)
	require.Greater(t, read("grpc_server_handled_total"), requests, "the sum over all labels")
}

func TestEtcdRaftIndex(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(strconv.Itoa(nodes), func(t *testing.T) {
			t.Parallel()
			c := startGroup(t, nodes)
			start(t, embedded.WithoutNATS()) // another etcd of the process does not count
			index := func() uint64 {
				i, err := c.EtcdRaftIndex(testContext(t))
				require.NoError(t, err)
				return i
			}
			if nodes == 1 {
				requireCounts(t, etcdClient(t, c), index)
			} else {
				before := index()
				requireWritable(t, c.EtcdEndpoints()[0], "v")
				require.Greater(t, index(), before)
			}
			require.NoError(t, c.StopEtcd(testContext(t)))
			_, err := c.EtcdRaftIndex(testContext(t))
			require.ErrorContains(t, err, "start it with RestartEtcd")
		})
	}
}

// requireCounts makes sure that each write adds one to index, and nothing else
// does. Another leader would add one: a node alone has none.
func requireCounts(t *testing.T, cli *clientv3.Client, index func() uint64) {
	t.Helper()
	ctx := testContext(t)
	before := index()
	lease, err := cli.Grant(ctx, 60)
	require.NoError(t, err)
	_, err = cli.Put(ctx, "k", "v", clientv3.WithLease(lease.ID))
	require.NoError(t, err)
	require.Equal(t, before+2, index(), "a grant and a put")
	for range 20 {
		_, err = cli.KeepAliveOnce(ctx, lease.ID)
		require.NoError(t, err)
		_, err = cli.Get(ctx, "k")
		require.NoError(t, err)
	}
	require.Equal(t, before+2, index(), "renewals and reads")
	_, err = cli.Revoke(ctx, lease.ID)
	require.NoError(t, err)
	require.Equal(t, before+3, index(), "a revocation")
}

func TestEtcdRaftIndexWithoutMajority(t *testing.T) {
	t.Parallel()
	c := startGroup(t, 3)
	require.NoError(t, c.StopEtcdNode(testContext(t), 0))
	require.NoError(t, c.StopEtcdNode(testContext(t), 1))
	ctx, cancel := context.WithTimeout(testContext(t), 100*time.Millisecond)
	defer cancel()
	_, err := c.EtcdRaftIndex(ctx)
	require.ErrorContains(t, err, "does not tell its Raft index")
}

func TestEtcdMetricFaults(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutNATS())
	_, err := embedded.EtcdMetric(testContext(t), "http://"+c.EtcdEndpoints()[0], "etcd_server_proposals")
	require.ErrorContains(t, err, `there is no metric "etcd_server_proposals"`)
	_, err = embedded.EtcdMetric(testContext(t), "127.0.0.1:1", committed)
	require.ErrorContains(t, err, "refused")
	_, err = embedded.EtcdMetric(testContext(t), "no host:1", committed)
	require.Error(t, err)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	_, err = embedded.EtcdMetric(testContext(t), web.URL, committed)
	require.ErrorContains(t, err, "is it an etcd?")
}
