package cluster

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/cereus-game/cereus/internal/loopback"
)

func TestLoadTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("client", 7)
	_, otherKey := a.issue("other", 8)
	missing, junk := filepath.Join(a.dir, "missing.pem"), filepath.Join(a.dir, "junk.pem")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))
	c, err := LoadTLS(TLSFiles{})
	require.NoError(t, err)
	require.Nil(t, c)
	c, err = LoadTLS(TLSFiles{ServerName: "etcd"})
	require.NoError(t, err)
	require.Equal(t, "etcd", c.ServerName)
	require.Nil(t, c.RootCAs, "those of the system")
	require.False(t, c.InsecureSkipVerify)
	c, err = LoadTLS(TLSFiles{CA: a.file, Cert: cert, Key: key})
	require.NoError(t, err)
	require.NotNil(t, c.RootCAs)
	for want, files := range map[string]TLSFiles{
		"tls ca: open " + missing:                        {CA: missing},
		"tls ca: " + junk:                                {CA: junk},
		"tls cert: stat " + missing:                      {Cert: missing, Key: key},
		"tls key: stat " + missing:                       {Cert: cert, Key: missing},
		"tls cert " + cert + " with tls key " + otherKey: {Cert: cert, Key: otherKey},
		"tls cert " + junk + " with":                     {Cert: junk, Key: key},
		"set both or neither":                            {Cert: cert},
	} {
		_, err := LoadTLS(files)
		require.ErrorContains(t, err, want)
	}
	_, err = LoadTLS(TLSFiles{CA: missing, Key: key})
	require.ErrorContains(t, err, "tls ca")
	require.ErrorContains(t, err, "set both or neither", "all faults at once")
}

func TestLoadTLSReadsARenewedCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("client", 7)
	c, err := LoadTLS(TLSFiles{CA: a.file, Cert: cert, Key: key})
	require.NoError(t, err)
	serial := func() int64 {
		pair, err := c.GetClientCertificate(nil)
		require.NoError(t, err)
		return pair.Leaf.SerialNumber.Int64()
	}
	require.Equal(t, int64(7), serial())
	a.issue("client", 8)
	require.Equal(t, int64(8), serial())
	_, _ = a.issue("next", 9)
	require.NoError(t, os.Rename(filepath.Join(a.dir, "next.pem"), cert))
	require.Equal(t, int64(8), serial(), "the key is still the old one")
	require.NoError(t, os.Rename(filepath.Join(a.dir, "next-key.pem"), key))
	require.Equal(t, int64(9), serial())
	require.NoError(t, os.Remove(cert))
	require.Equal(t, int64(9), serial())
}

// A certificate that was renewed on disk is shown at the next connection.
func TestDiscoveryShowsARenewedCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("client", 7)
	front := newTLSFront(t, a, startEtcd(t).EtcdEndpoints()[0])
	p := etcdParams(nil, front.listener.Addr().String())
	p.TLSFiles = TLSFiles{CA: a.file, Cert: cert, Key: key, ServerName: "etcd.test"}
	d := newEtcd(t, p)
	require.Equal(t, []int64{7}, front.shown())
	a.issue("client", 8)
	front.cut()
	eventually(t, func() bool { return len(front.shown()) > 1 && d.IsConnected() && !d.Stale() }, "it comes back")
	for _, serial := range front.shown()[1:] {
		require.Equal(t, int64(8), serial)
	}
}

// startTLSEtcd is a real etcd that speaks TLS only and asks for certificates.
func startTLSEtcd(t testing.TB, a *authority) string {
	t.Helper()
	cert, key := a.issue("etcd", 3, "127.0.0.1", "etcd.test")
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = t.TempDir(), "fatal"
	client := url.URL{Scheme: "https", Host: loopback.Address(0)}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs, cfg.UnsafeNoFsync = 10, 100, true
	cfg.EnableGRPCGateway = false
	cfg.ClientTLSInfo = transport.TLSInfo{CertFile: cert, KeyFile: key, TrustedCAFile: a.file, ClientCertAuth: true}
	rpc := make(chan *grpc.Server, 1)
	cfg.ServiceRegister = func(s *grpc.Server) { rpc <- s }
	e, err := embed.StartEtcd(cfg)
	require.NoError(t, err)
	server := <-rpc
	t.Cleanup(func() {
		server.Stop()
		e.Close()
	})
	return e.Clients[0].Addr().String()
}

func TestDiscoveryOverTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("client", 7)
	host := startTLSEtcd(t, a)
	files := TLSFiles{CA: a.file, Cert: cert, Key: key}
	for n, endpoint := range []string{host, "https://" + host} {
		p := etcdParams(backend([]string{"a", "b"}[n]), endpoint)
		p.TLSFiles = files
		d := newEtcd(t, p)
		register(t, d)
		_, there := d.Server(p.Self.ID)
		eventually(t, func() bool { _, there = d.Server(p.Self.ID); return there }, "registered")
	}
	c, err := LoadTLS(files)
	require.NoError(t, err)
	p := etcdParams(nil, host)
	p.TLS = c
	require.Len(t, newEtcd(t, p).Servers(), 2, "with a tls.Config made by hand")
}

// Who trusts another authority, or shows no certificate, is told so.
func TestDiscoveryOverTLSThatDoesNotFit(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	cert, key := a.issue("client", 7)
	host := startTLSEtcd(t, a)
	for _, c := range []struct {
		endpoint string
		files    TLSFiles
		want     string
	}{
		{"https://" + host, TLSFiles{}, "certificate signed by unknown authority"},
		{host, TLSFiles{CA: stranger.file, Cert: cert, Key: key}, "certificate signed by unknown authority"},
		{host, TLSFiles{CA: a.file, Cert: cert, Key: key, ServerName: "elsewhere"}, "not elsewhere"},
		{host, TLSFiles{CA: filepath.Join(a.dir, "none")}, "etcd at " + host + ": tls ca: open"},
		{host, TLSFiles{CA: a.file}, "certificate required"},
		{host, TLSFiles{}, "does it want TLS (https:// endpoints)?"},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			p := etcdParams(nil, c.endpoint)
			p.TLSFiles, p.BootTimeout = c.files, 3*time.Second
			d, err := NewEtcdDiscovery(p)
			require.NoError(t, err)
			err = d.Init(context.Background())
			require.ErrorContains(t, err, c.want, "%+v", c)
			require.ErrorContains(t, err, host)
		})
	}
}

// Who asks for TLS where there is none is told so.
func TestDiscoveryOverTLSToAnEtcdWithout(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	for name, change := range map[string]func(*EtcdParams){
		"by the scheme": func(p *EtcdParams) { p.Endpoints = []string{"https://" + endpoint} },
		"by the files":  func(p *EtcdParams) { p.TLSFiles = TLSFiles{CA: a.file} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := etcdParams(nil, endpoint)
			p.BootTimeout = 3 * time.Second
			change(&p)
			d, err := NewEtcdDiscovery(p)
			require.NoError(t, err)
			err = d.Init(context.Background())
			require.ErrorContains(t, err, "is it an etcd without TLS, for http:// endpoints")
		})
	}
}
