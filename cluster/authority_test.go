package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority issues certificates as files of a test.
type authority struct {
	t    testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // its own certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), key: newKey(t)}
	template := certificateTemplate(1)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.file = filepath.Join(a.dir, "ca.pem")
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func certificateTemplate(serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "cereus test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// issue writes name.pem and name-key.pem with a certificate for the hosts.
func (a *authority) issue(name string, serial int64, hosts ...string) (cert, key string) {
	a.t.Helper()
	template, private := certificateTemplate(serial), newKey(a.t)
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	require.NoError(a.t, err)
	secret, err := x509.MarshalECPrivateKey(private)
	require.NoError(a.t, err)
	cert, key = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem")
	writePEM(a.t, cert, "CERTIFICATE", der)
	writePEM(a.t, key, "EC PRIVATE KEY", secret)
	return cert, key
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// tlsFront ends TLS before a plain etcd, asks clients for certificates and
// remembers which they showed.
type tlsFront struct {
	listener net.Listener
	target   string

	mu      sync.Mutex // guards what follows
	serials []int64
	conns   []net.Conn
}

func newTLSFront(t testing.TB, a *authority, target string) *tlsFront {
	t.Helper()
	cert, key := a.issue("front", 2, "etcd.test")
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"},
	})
	require.NoError(t, err)
	f := &tlsFront{listener: listener, target: target}
	var served sync.WaitGroup
	served.Go(func() { f.accept(&served) })
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		f.cut()
		served.Wait()
	})
	return f
}

func (f *tlsFront) accept(served *sync.WaitGroup) {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		served.Go(func() { f.serve(conn.(*tls.Conn)) })
	}
}

func (f *tlsFront) serve(conn *tls.Conn) {
	defer conn.Close() //nolint:errcheck // a test's
	if conn.Handshake() != nil {
		return
	}
	to, err := net.Dial("tcp", f.target)
	if err != nil {
		return
	}
	defer to.Close() //nolint:errcheck // a test's
	f.mu.Lock()
	f.serials = append(f.serials, conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64())
	f.conns = append(f.conns, conn, to)
	f.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(conn, to); _ = conn.Close() })
	_, _ = io.Copy(to, conn)
	_ = to.Close()
	back.Wait()
}

// cut ends all connections.
func (f *tlsFront) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}

// shown are the serial numbers of the certificates of all connections so far.
func (f *tlsFront) shown() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int64{}, f.serials...)
}
