package embedded_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/metadata"

	"github.com/cereus-game/cereus/embedded"
)

// authority signs certificates that live in files of a folder.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes name.crt and name.key.
func (a *authority) issue(t *testing.T, name string, cert *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert.SerialNumber = big.NewInt(time.Now().UnixNano())
	cert.Subject = pkix.Name{CommonName: name}
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	raw, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	a.write(t, name+".crt", &pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.write(t, name+".key", &pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
	signed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return signed, key
}

func (a *authority) write(t *testing.T, file string, block *pem.Block) {
	t.Helper()
	require.NoError(t, os.WriteFile(a.path(file), pem.EncodeToMemory(block), 0o600))
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }

func (a *authority) server(t *testing.T) embedded.TLSFiles {
	t.Helper()
	a.issue(t, "server", &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return embedded.TLSFiles{CA: a.path("ca.crt"), Cert: a.path("server.crt"), Key: a.path("server.key")}
}

// client trusts a and shows a certificate that by signed.
func (a *authority) client(t *testing.T, by *authority) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if by == nil {
		return cfg
	}
	by.issue(t, "client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	pair, err := tls.LoadX509KeyPair(by.path("client.crt"), by.path("client.key"))
	require.NoError(t, err)
	cfg.Certificates = []tls.Certificate{pair}
	return cfg
}

func TestEtcdTLS(t *testing.T) {
	t.Parallel()
	for name, nodes := range map[string]int{"one": 1, "three": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, stranger := newAuthority(t), newAuthority(t)
			c := startGroup(t, nodes, embedded.WithEtcdTLS(ca.server(t)))
			for _, endpoint := range c.EtcdEndpoints() {
				require.Regexp(t, `^https://127\.0\.0\.1:\d+$`, endpoint)
			}
			good := ca.client(t, ca)
			cli, err := clientv3.New(clientv3.Config{Endpoints: c.EtcdEndpoints(), TLS: good, DialTimeout: long, Logger: zap.NewNop()})
			require.NoError(t, err)
			t.Cleanup(func() { _ = cli.Close() })
			_, err = cli.Put(testContext(t), "k", "v")
			require.NoError(t, err)

			address := strings.TrimPrefix(c.EtcdEndpoints()[0], "https://")
			require.NoError(t, handshake(address, good))
			for why, cfg := range map[string]*tls.Config{
				"no certificate":            ca.client(t, nil),
				"a stranger's certificate":  ca.client(t, stranger),
				"a server's own is no help": stranger.client(t, ca),
			} {
				require.Error(t, handshake(address, cfg), why)
			}

			watch := cli.Watch(testContext(t), "k", clientv3.WithCreatedNotify())
			require.True(t, (<-watch).Created)
			began := time.Now()
			require.NoError(t, c.StopEtcd(testContext(t)))
			require.Less(t, time.Since(began), 4*time.Second)
			_, err = net.DialTimeout("tcp", address, time.Second)
			require.Error(t, err)
			require.NoError(t, c.RestartEtcd(testContext(t)))
			got, err := cli.Get(testContext(t), "k")
			require.NoError(t, err)
			require.EqualValues(t, 1, got.Count)
		})
	}
}

// handshake is nil when the server accepted the client. In TLS 1.3 a client
// only learns that by reading.
func handshake(address string, cfg *tls.Config) error {
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"h2"}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: long}, "tcp", address, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(long)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // the server's settings, or an alert
	return err
}

func TestEtcdTLSOnAChosenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	opts := []embedded.Option{embedded.WithoutNATS(), embedded.WithEtcdTLS(newAuthority(t).server(t)), embedded.WithEtcdPort(port)}
	_, err = embedded.Start(testContext(t), opts...)
	require.ErrorIs(t, err, embedded.ErrPortInUse)
	require.ErrorContains(t, err, "embedded.WithEtcdPort")
	require.NoError(t, l.Close())
	require.Equal(t, []string{"https://" + l.Addr().String()}, start(t, opts...).EtcdEndpoints())
}

func TestEtcdTLSFilesAreChecked(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	files := ca.server(t)
	files.Key, files.CA = ca.path("ca.key"), files.Key
	_, err := embedded.Start(testContext(t), embedded.WithEtcdTLS(files))
	require.ErrorContains(t, err, "must be PEM files that belong together")
	require.ErrorContains(t, err, "it holds no certificate")
}

func TestEtcdAuthTokensExpire(t *testing.T) {
	t.Parallel()
	c := start(t, embedded.WithoutNATS(), embedded.WithEtcdAuthTokenTTL(time.Second))
	ctx := testContext(t)
	root := etcdClient(t, c)
	_, err := root.UserAdd(ctx, "root", "secret")
	require.NoError(t, err)
	_, err = root.UserGrantRole(ctx, "root", "root")
	require.NoError(t, err)
	_, err = root.AuthEnable(ctx)
	require.NoError(t, err)
	// This client was not told the password, so it does not ask for new tokens.
	token, err := root.Authenticate(ctx, "root", "secret")
	require.NoError(t, err)
	ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token.Token)
	_, err = root.Get(ctx, "k")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := root.Get(ctx, "k")
		return errors.Is(err, rpctypes.ErrInvalidAuthToken)
	}, long, 2500*time.Millisecond, "etcd forgets a token that nobody used for a second")
}
