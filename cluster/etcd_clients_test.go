package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/internal/loopback"
)

func get(t testing.TB, c *clientv3.Client, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(testContext(t), limit)
	defer cancel()
	_, err := c.Get(ctx, "x")
	return err
}

func TestEqualConnectionsShareAClient(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	proxy := faultproxy.New(t, etcd.EtcdEndpoints()[0])
	var clients EtcdClients
	first, closeFirst, err := clients.Open(EtcdConnection{Endpoints: []string{proxy.Addr()}})
	require.NoError(t, err)
	second, closeSecond, err := clients.Open(EtcdConnection{Endpoints: []string{proxy.Addr(), proxy.Addr()}, DialTimeout: DefaultDialTimeout})
	require.NoError(t, err)
	require.Same(t, first, second)
	require.NoError(t, get(t, first, patience))
	require.NoError(t, get(t, second, patience))
	require.Equal(t, int64(1), proxy.Stats().Accepted)
	require.NoError(t, closeFirst())
	require.NoError(t, closeFirst(), "more than once is once")
	require.NoError(t, get(t, second, patience), "the other one goes on")
	require.NoError(t, closeSecond())
	require.Error(t, get(t, second, patience), "the last one closes it")
	eventually(t, func() bool { return proxy.Stats().Open == 0 }, "the connection is closed")

	third, closeThird, err := clients.Open(EtcdConnection{Endpoints: []string{proxy.Addr()}})
	require.NoError(t, err)
	require.NotSame(t, first, third)
	require.NoError(t, get(t, third, patience))
	require.NoError(t, closeThird())
}

func TestWhichConnectionsAreEqual(t *testing.T) {
	t.Parallel()
	same := func(a, b EtcdConnection) bool { return a.normal().equal(b.normal()) }
	base := EtcdConnection{Endpoints: []string{"a:1", "b:1"}, Username: "u", Password: "p", TLSFiles: TLSFiles{CA: "ca"}}
	change := func(fn func(*EtcdConnection)) EtcdConnection {
		c := base
		fn(&c)
		return c
	}
	require.True(t, same(base, change(func(c *EtcdConnection) { c.Endpoints = []string{"b:1", " a:1", "b:1"} })))
	require.True(t, same(base, change(func(c *EtcdConnection) { c.DialTimeout = DefaultDialTimeout })))
	for name, other := range map[string]EtcdConnection{
		"endpoints":    change(func(c *EtcdConnection) { c.Endpoints = []string{"a:1"} }),
		"user":         change(func(c *EtcdConnection) { c.Username = "v" }),
		"password":     change(func(c *EtcdConnection) { c.Password = "q" }),
		"files":        change(func(c *EtcdConnection) { c.TLSFiles.ServerName = "s" }),
		"dial timeout": change(func(c *EtcdConnection) { c.DialTimeout = time.Second }),
		"by hand":      change(func(c *EtcdConnection) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS12} }),
	} {
		require.False(t, same(base, other), name)
	}
	require.Equal(t, []string{"a:1", "b:1"}, base.Endpoints, "left as it was")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, EtcdConnection{Username: "u", Password: "hunter2"}), "hunter2")
	}
}

func TestConnectionsThatAreWrong(t *testing.T) {
	t.Parallel()
	var clients EtcdClients
	for want, conn := range map[string]EtcdConnection{
		"at least one is needed":      {},
		"none may be empty":           {Endpoints: []string{"a:1", ""}},
		"user and pass":               {Endpoints: []string{"a:1"}, Username: "u"},
		"tls cert and key":            {Endpoints: []string{"a:1"}, TLSFiles: TLSFiles{Cert: "c"}},
		"not both":                    {Endpoints: []string{"a:1"}, TLSFiles: TLSFiles{CA: "c"}, TLS: &tls.Config{}}, //nolint:gosec // not used
		"must not be negative":        {Endpoints: []string{"a:1"}, DialTimeout: -1},
		"https:// for all":            {Endpoints: []string{"a:1", "https://b:1"}},
		"http:// is not encrypted":    {Endpoints: []string{"http://a:1"}, TLSFiles: TLSFiles{CA: "c"}},
		"tls ca: open no-such-file: ": {Endpoints: []string{"a:1"}, TLSFiles: TLSFiles{CA: "no-such-file"}},
	} {
		_, _, err := clients.Open(conn)
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, clients.open, "nothing is left of what could not be opened")
}

// A file that was not there at first is found when it is: a client that could
// not be made is not kept.
func TestOpenFailsForAllAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	var clients EtcdClients
	a := newAuthority(t)
	conn := EtcdConnection{Endpoints: []string{"127.0.0.1:1"}, TLSFiles: TLSFiles{CA: filepath.Join(a.dir, "later.pem")}}
	var open sync.WaitGroup
	for range 10 {
		open.Go(func() {
			_, _, err := clients.Open(conn)
			require.ErrorContains(t, err, "later.pem") //nolint:testifylint // the others go on
		})
	}
	open.Wait()
	require.Empty(t, clients.open)
	writePEM(t, conn.TLSFiles.CA, "CERTIFICATE", a.cert.Raw)
	_, done, err := clients.Open(conn)
	require.NoError(t, err)
	require.NoError(t, done())
}

func TestClientsComeAndGo(t *testing.T) {
	t.Parallel()
	var clients EtcdClients
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for range 25 {
				c, done, err := clients.Open(EtcdConnection{Endpoints: []string{endpoint}})
				if err == nil {
					err = get(t, c, patience)
				}
				if err == nil {
					err = done()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	users.Wait()
	require.Empty(t, clients.open)
}

func TestDiscoveriesShareAClient(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	clients := new(EtcdClients)
	var all []*EtcdDiscovery
	for _, id := range []string{"a", "b"} {
		p := etcdParams(backend(id), proxy.Addr())
		p.Clients = clients
		all = append(all, newEtcd(t, p))
		register(t, all[len(all)-1])
	}
	eventually(t, sees(all[0], "a", "b"), "both are seen")
	require.Equal(t, int64(1), proxy.Stats().Accepted)
	require.NoError(t, all[0].Shutdown(testContext(t)))
	eventually(t, sees(all[1], "b"), "the other one goes on")
	require.True(t, all[1].Registered())
	require.NoError(t, all[1].Shutdown(testContext(t)))
	require.Empty(t, clients.open)
}

// A connection that swallows everything is replaced at once (fault E05).
func TestRedialReplacesAFrozenConnection(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	p := etcdParams(nil, proxy.Addr())
	d := newEtcd(t, p)
	store := d.link.Load().store
	for range 3 {
		require.NoError(t, get(t, store.client, patience))
		proxy.Pause(faultproxy.Existing)
		require.Error(t, get(t, store.client, 50*time.Millisecond), "frozen")
		store.shared.pace = redialPace{} // each is a trouble of its own
		store.redial()
		began := time.Now()
		require.NoError(t, get(t, store.client, patience))
		require.Less(t, time.Since(began), dialKeepAliveTime/2)
		eventually(t, func() bool { return d.IsConnected() && !d.Stale() }, "the view follows")
	}
	shared := store.shared
	shared.dialer.mu.Lock()
	defer shared.dialer.mu.Unlock()
	require.Len(t, shared.dialer.conns, 1, "only the last is remembered")
}

func TestRedialOfAClientThatWasPassedIn(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	p := etcdParams(nil, "")
	p.Client = rawClient(t, proxy.Addr())
	d := newEtcd(t, p)
	d.link.Load().store.redial()
	require.NoError(t, d.SyncServers(testContext(t)))
	require.Equal(t, int64(1), proxy.Stats().Accepted)
}

// A dialer does not collect what gRPC closed.
func TestDialerForgetsClosedConnections(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close() //nolint:errcheck // a test's
	var d etcdDialer
	for range 20 {
		c, err := d.dial(testContext(t), listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	require.LessOrEqual(t, len(d.conns), 1)
	d.drop()
	require.Empty(t, d.conns)

	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer unix.Close() //nolint:errcheck // a test's
	for _, address := range []string{"unix:" + path, "unix://" + path} {
		c, err := d.dial(testContext(t), address)
		require.NoError(t, err)
		require.True(t, isOpen(c))
	}
	d.drop()
}

// A start that fails says what the last attempt to connect said.
func TestBootErrorsSayWhyItDoesNotConnect(t *testing.T) {
	t.Parallel()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close() //nolint:errcheck // a test's
	for endpoint, want := range map[string]string{
		loopback.Address(port): "connection refused",
		silent.Addr().String(): "does it want TLS (https:// endpoints)?",
	} {
		p := etcdParams(nil, endpoint)
		p.BootTimeout = 500 * time.Millisecond
		d, err := NewEtcdDiscovery(p)
		require.NoError(t, err)
		require.ErrorContains(t, d.Init(context.Background()), want)
		p.Username, p.Password, p.DialTimeout = "u", "p", 300*time.Millisecond
		d, err = NewEtcdDiscovery(p)
		require.NoError(t, err)
		require.ErrorContains(t, d.Init(context.Background()), want, "also when it is to log in")
	}
}
