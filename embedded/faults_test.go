package embedded_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/embedded"
)

func TestRestartEtcd(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutNATS())
	ctx := testContext(t)
	cli := etcdClient(t, c)
	before := c.EtcdEndpoints()
	_, err := cli.Put(ctx, "k", "v")
	require.NoError(t, err)

	require.NoError(t, c.StopEtcd(ctx))
	require.NoError(t, c.StopEtcd(ctx), "stopping twice does nothing")
	_, err = net.DialTimeout("tcp", before[0], time.Second)
	require.Error(t, err)

	require.NoError(t, c.RestartEtcd(ctx))
	require.Equal(t, before, c.EtcdEndpoints())
	require.EqualValues(t, 1, count(ctx, t, c))

	require.NoError(t, c.RestartEtcdEmpty(ctx))
	require.Equal(t, before, c.EtcdEndpoints())
	require.EqualValues(t, 0, count(ctx, t, c))
}

func count(ctx context.Context, t *testing.T, c *embedded.Cluster) int64 {
	t.Helper()
	got, err := etcdClient(t, c).Get(ctx, "k")
	require.NoError(t, err)
	return got.Count
}

func TestRestartNATS(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutEtcd())
	ctx := testContext(t)
	lost, back := make(chan struct{}, 8), make(chan struct{}, 8)
	url := c.NATSURL()
	natsClient(t, url,
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }),
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	require.NoError(t, c.StopNATS(ctx, 0))
	require.NoError(t, c.StopNATS(ctx, 0))
	receive(t, lost)
	require.Error(t, c.LameDuck(0), "a stopped node has nothing to leave")
	require.NoError(t, c.RestartNATS(ctx, 0))
	require.Equal(t, url, c.NATSURL())
	receive(t, back)
	require.ErrorContains(t, c.StopNATS(ctx, 3), "there is no NATS node 3")
}

func TestNATSNodesRouteToEachOther(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutEtcd(), embedded.WithNATSNodes(3))
	ctx := testContext(t)
	require.Len(t, c.NATSURLs(), 3)
	requireRouted(t, c, 0, 2)
	for i := range 3 {
		require.NoError(t, c.RestartNATS(ctx, i))
	}
	requireRouted(t, c, 1, 0)
}

// requireRouted sends a request from a client of one node to one of another.
func requireRouted(t *testing.T, c *embedded.Cluster, from, to int) {
	t.Helper()
	server, client := natsClient(t, c.NATSURLs()[to]), natsClient(t, c.NATSURLs()[from])
	sub, err := server.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	require.NoError(t, err)
	require.NoError(t, server.Flush())
	require.Eventually(t, func() bool {
		reply, err := client.Request("echo", []byte("ping"), time.Second)
		return err == nil && string(reply.Data) == "ping"
	}, long, 5*time.Millisecond)
	require.NoError(t, sub.Unsubscribe())
}

func TestLameDuckMovesClients(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutEtcd(), embedded.WithNATSNodes(2),
		embedded.WithLameDuck(50*time.Millisecond, 100*time.Millisecond))
	told, moved := make(chan struct{}, 8), make(chan struct{}, 8)
	urls := c.NATSURLs()
	nc := natsClient(t, strings.Join(urls, ","), nats.DontRandomize(),
		nats.LameDuckModeHandler(func(*nats.Conn) { told <- struct{}{} }),
		nats.ReconnectHandler(func(*nats.Conn) { moved <- struct{}{} }))
	require.Equal(t, urls[0], nc.ConnectedUrl())
	require.NoError(t, c.LameDuck(0))
	receive(t, told)
	receive(t, moved)
	require.Equal(t, urls[1], nc.ConnectedUrl())
	require.NoError(t, c.RestartNATS(testContext(t), 0))
	requireRouted(t, c, 0, 1)
}

func TestStopCutsLameDuckShort(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutEtcd(), embedded.WithLameDuck(time.Hour, 2*time.Hour))
	told := make(chan struct{}, 1)
	natsClient(t, c.NATSURL(), nats.LameDuckModeHandler(func(*nats.Conn) { told <- struct{}{} }))
	require.NoError(t, c.LameDuck(0))
	receive(t, told)
	require.NoError(t, c.Stop(testContext(t)))
}

func TestJetStreamCluster(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutEtcd(), embedded.WithNATSNodes(3), embedded.WithJetStream())
	ctx := testContext(t)
	js, err := jetstream.New(natsClient(t, strings.Join(c.NATSURLs(), ",")))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs"}, Replicas: 3})
		return err == nil
	}, long, 50*time.Millisecond)
	_, err = js.Publish(ctx, "jobs", []byte("work"))
	require.NoError(t, err)
}

func receive(t *testing.T, from <-chan struct{}) {
	t.Helper()
	select {
	case <-from:
	case <-time.After(long):
		require.FailNow(t, "did not happen in time")
	}
}
