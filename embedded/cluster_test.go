package embedded_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/cereus-game/cereus/embedded"
)

const long = 20 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, opts ...embedded.Option) *embedded.Cluster {
	t.Helper()
	c, err := embedded.Start(testContext(t), opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), long)
		defer cancel()
		require.NoError(t, c.Stop(ctx))
	})
	return c
}

func etcdClient(t *testing.T, c *embedded.Cluster) *clientv3.Client {
	t.Helper()
	return dial(t, c.EtcdEndpoints()...)
}

func dial(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	cli, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: long, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = cli.Close() })
	return cli
}

func natsClient(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{nats.ReconnectWait(10 * time.Millisecond), nats.MaxReconnects(-1)}, opts...)
	nc, err := nats.Connect(url, opts...)
	require.NoError(t, err)
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

func TestStartServesEtcdAndNATS(t *testing.T) {
	t.Parallel()
	c := start(t)
	ctx := testContext(t)

	require.Len(t, c.EtcdEndpoints(), 1)
	cli := etcdClient(t, c)
	_, err := cli.Put(ctx, "cereus/servers/room/1", "value")
	require.NoError(t, err)
	got, err := cli.Get(ctx, "cereus/servers/room/1")
	require.NoError(t, err)
	require.Equal(t, "value", string(got.Kvs[0].Value))
	lease, err := cli.Grant(ctx, 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, lease.TTL, "leases as short as a second, for tests of crashes")

	nc := natsClient(t, c.NATSURL())
	sub, err := nc.SubscribeSync("subject")
	require.NoError(t, err)
	require.NoError(t, nc.Publish("subject", []byte("hello")))
	msg, err := sub.NextMsg(long)
	require.NoError(t, err)
	require.Equal(t, "hello", string(msg.Data))
	require.Equal(t, []string{c.NATSURL()}, c.NATSURLs())
}

func TestManySideBySide(t *testing.T) {
	t.Parallel()
	const clusters = 6
	seen := make(map[string]bool)
	var mu sync.Mutex // guards seen
	t.Run("group", func(t *testing.T) {
		for i := range clusters {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				c := start(t)
				_, err := etcdClient(t, c).Put(testContext(t), "k", "v")
				require.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				for _, addr := range append(c.NATSURLs(), c.EtcdEndpoints()...) {
					require.False(t, seen[addr], addr)
					seen[addr] = true
				}
			})
		}
	})
}

func TestParts(t *testing.T) {
	t.Parallel()
	onlyNATS := start(t, embedded.WithoutEtcd())
	require.Nil(t, onlyNATS.EtcdEndpoints())
	require.ErrorIs(t, onlyNATS.StopEtcd(testContext(t)), embedded.ErrNotStarted)
	require.ErrorIs(t, onlyNATS.RestartEtcd(testContext(t)), embedded.ErrNotStarted)
	require.ErrorIs(t, onlyNATS.RestartEtcdEmpty(testContext(t)), embedded.ErrNotStarted)

	onlyEtcd := start(t, embedded.WithoutNATS())
	require.Empty(t, onlyEtcd.NATSURL())
	require.Empty(t, onlyEtcd.NATSURLs())
	require.ErrorIs(t, onlyEtcd.LameDuck(0), embedded.ErrNotStarted)
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := embedded.Start(testContext(t),
		embedded.WithDurableWrites(), embedded.WithNATSNodes(0),
		embedded.WithLameDuck(time.Second, time.Second),
		embedded.WithEtcdNodes(2), embedded.WithEtcdAuthTokenTTL(1500*time.Millisecond),
		embedded.WithEtcdTLS(embedded.TLSFiles{CA: "no.ca", Cert: "no.cert", Key: "no.key"}),
		embedded.WithEtcdQuota(-1), embedded.WithEtcdPort(70000), embedded.WithNATSPort(-1))
	require.Error(t, err)
	for _, hint := range []string{
		"add WithDir", "choose 1 to 16", "below the duration", "WithEtcdQuota(-1)", "WithEtcdPort(70000)", "WithNATSPort(-1)",
		"WithEtcdNodes(2): choose 1, 3 or 5", "WithEtcdAuthTokenTTL(1.5s): choose whole seconds",
		`CA "no.ca" must be a PEM file`, `Cert "no.cert" and Key "no.key" must be PEM files`,
	} {
		require.ErrorContains(t, err, hint)
	}
	_, err = embedded.Start(testContext(t), embedded.WithoutEtcd(), embedded.WithoutNATS())
	require.ErrorContains(t, err, "nothing to start")
	_, err = embedded.Start(testContext(t), embedded.WithEtcdPort(20001), embedded.WithNATSPort(20001))
	require.ErrorContains(t, err, "cannot share port 20001")
}

func TestPortInUseSaysWhatToDo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	port := l.Addr().(*net.TCPAddr).Port
	for option, opts := range map[string][]embedded.Option{
		"embedded.WithEtcdPort": {embedded.WithEtcdPort(port)},
		"embedded.WithNATSPort": {embedded.WithNATSPort(port)},
	} {
		_, err := embedded.Start(testContext(t), opts...)
		require.ErrorIs(t, err, embedded.ErrPortInUse)
		require.ErrorContains(t, err, l.Addr().String())
		require.ErrorContains(t, err, option)
	}
}

func TestDirKeepsData(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	first, err := embedded.Start(ctx, embedded.WithDir(dir), embedded.WithDurableWrites(), embedded.WithJetStream())
	require.NoError(t, err)
	_, err = etcdClient(t, first).Put(ctx, "k", "kept")
	require.NoError(t, err)
	js, err := jetstream.New(natsClient(t, first.NATSURL()))
	require.NoError(t, err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs"}})
	require.NoError(t, err)

	_, err = embedded.Start(ctx, embedded.WithDir(dir))
	require.ErrorContains(t, err, "choose another with embedded.WithDir")
	require.NoError(t, first.Stop(ctx))
	require.NoError(t, first.Stop(ctx), "a second Stop does nothing")

	second := start(t, embedded.WithDir(dir), embedded.WithJetStream())
	got, err := etcdClient(t, second).Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "kept", string(got.Kvs[0].Value))
	js, err = jetstream.New(natsClient(t, second.NATSURL()))
	require.NoError(t, err)
	_, err = js.Stream(ctx, "JOBS")
	require.NoError(t, err)
}

func TestStopRemovesTemporaryData(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	c, err := embedded.Start(testContext(t), embedded.WithJetStream())
	require.NoError(t, err)
	entries, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.NoError(t, c.Stop(testContext(t)))
	entries, err = os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.Error(t, c.RestartEtcd(testContext(t)), "a stopped cluster stays stopped")
	require.Error(t, c.RestartNATS(testContext(t), 0))
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("changed my mind")
	cancel(cause)
	c, err := embedded.Start(ctx)
	if err == nil { // everything was up before anybody looked at the context
		require.NoError(t, c.Stop(testContext(t)))
		return
	}
	require.ErrorIs(t, err, cause)
}

// A client that watches must not hold Stop up: etcd alone would wait 5 s.
func TestStopIsQuickWithOpenWatches(t *testing.T) {
	t.Parallel()
	c := start(t)
	cli := etcdClient(t, c)
	watch := cli.Watch(testContext(t), "k", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	require.True(t, (<-watch).Created)
	begin := time.Now()
	require.NoError(t, c.StopEtcd(testContext(t)))
	require.Less(t, time.Since(begin), 4*time.Second)
}

func TestQuotaFillsUp(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutNATS(), embedded.WithEtcdQuota(1<<20))
	cli := etcdClient(t, c)
	value := strings.Repeat("x", 256<<10)
	require.Eventually(t, func() bool {
		_, err := cli.Put(testContext(t), "k", value)
		return errors.Is(err, rpctypes.ErrNoSpace)
	}, long, time.Millisecond)
}
