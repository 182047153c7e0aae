package acceptor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

const patience = 20 * time.Second

// serve listens and serves until the test ends.
func serve(t testing.TB, a Acceptor, handle func(*Conn)) string {
	t.Helper()
	require.NoError(t, a.Listen(context.Background()))
	done := make(chan error, 1)
	go func() { done <- a.Serve(handle) }()
	t.Cleanup(func() {
		require.NoError(t, a.Close())
		require.NoError(t, <-done)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, a.Wait(ctx))
	})
	return a.Addr().String()
}

// closeOfTest is what the handlers of tests close with.
const closeOfTest CloseCode = 3456

// echo answers every packet with itself and reports how reading ended.
func echo(ends chan<- error) func(*Conn) {
	return func(c *Conn) {
		for {
			kind, body, err := c.Next()
			if err != nil {
				_ = c.Close(CloseStatus{Code: closeOfTest})
				ends <- err
				return
			}
			packet, err := protocol.AppendPacket(nil, kind, body)
			if err == nil {
				err = c.WriteAll([][]byte{c.AppendFrame(nil, packet)}, time.Now().Add(patience))
			}
			if err != nil {
				ends <- err
				return
			}
		}
	}
}

// oneConn serves a and hands out the connections; each lives until the test
// ends.
func oneConn(t testing.TB, a Acceptor) (address string, conns <-chan *Conn) {
	t.Helper()
	got := make(chan *Conn, 64)
	release := make(chan struct{})
	address = serve(t, a, func(c *Conn) {
		got <- c
		<-release
	})
	t.Cleanup(func() { close(release) })
	return address, got
}

func dialTCP(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", address, patience)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	return nc.(*net.TCPConn)
}

func packetOf(t testing.TB, kind protocol.PacketType, body []byte) []byte {
	t.Helper()
	b, err := protocol.AppendPacket(nil, kind, body)
	require.NoError(t, err)
	return b
}

func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// readToEnd reads until the other side closes, by FIN or by RST.
func readToEnd(t testing.TB, nc net.Conn) []byte {
	t.Helper()
	b, err := io.ReadAll(nc)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "not closed: %v", err)
	return b
}

// tally is a Metrics that counts.
type tally struct {
	accepted, closed, failed atomic.Int64
	mu                       sync.Mutex
	refused                  map[Refusal]int
}

func (m *tally) Accepted()     { m.accepted.Add(1) }
func (m *tally) Closed()       { m.closed.Add(1) }
func (m *tally) AcceptFailed() { m.failed.Add(1) }
func (m *tally) Refused(why Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refused == nil {
		m.refused = map[Refusal]int{}
	}
	m.refused[why]++
}

func (m *tally) refusals(why Refusal) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refused[why]
}

// certificate makes a self-signed pair for localhost.
func certificate(t testing.TB, serial int64) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	raw, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
}

func tlsConfigs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	certPEM, keyPEM := certificate(t, 1)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certPEM))
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

func writeFiles(t testing.TB, dir string, certPEM, keyPEM []byte) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, keyPEM, 0o600))
	return certFile, keyFile
}
