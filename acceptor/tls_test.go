package acceptor

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestTLSEcho(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			server, client := tlsConfigs(t)
			client.MinVersion, client.MaxVersion = version, version
			client.NextProtos = []string{"h2"}
			server.NextProtos = nil
			ends := make(chan error, 1)
			address := serve(t, NewTCP("127.0.0.1:0", WithTLS(server)), func(c *Conn) {
				c.Established()
				echo(ends)(c)
			})
			conn := dialTLS(t, address, client)
			require.Empty(t, conn.ConnectionState().NegotiatedProtocol)
			for _, size := range []int{0, 1, 1000, 16 << 10, 60_000, DefaultBody} {
				packet := packetOf(t, protocol.PacketData, bytes.Repeat([]byte{3}, size))
				go func() {
					for at := 0; at < len(packet); at += 7000 {
						_, _ = conn.Write(packet[at:min(at+7000, len(packet))])
					}
				}()
				got := make([]byte, len(packet))
				_, err := io.ReadFull(conn, got)
				require.NoError(t, err)
				require.True(t, bytes.Equal(packet, got))
			}
			require.NoError(t, conn.CloseWrite())
			require.ErrorIs(t, receive(t, ends), io.EOF)
			readToEnd(t, conn)
		})
	}
}

func TestTLSRefusesPlainClients(t *testing.T) {
	t.Parallel()
	server, _ := tlsConfigs(t)
	counts := &tally{}
	address := serve(t, NewTCP("127.0.0.1:0", WithTLS(server), WithMetrics(counts)), func(*Conn) { panic("opened") })
	nc := dialTCP(t, address)
	_, err := nc.Write(packetOf(t, protocol.PacketHandshake, []byte("{}")))
	require.NoError(t, err)
	readToEnd(t, nc)
	require.Eventually(t, func() bool { return counts.refusals(RefusedTLS) == 1 }, patience, time.Millisecond)
}

func TestTLSRecordsInPieces(t *testing.T) {
	t.Parallel()
	server, client := tlsConfigs(t)
	ends := make(chan error, 1)
	address := serve(t, NewTCP("127.0.0.1:0", WithTLS(server)), echo(ends))
	slow := &dribble{Conn: dialTCP(t, address)}
	conn := tls.Client(slow, client)
	require.NoError(t, conn.Handshake())
	packet := packetOf(t, protocol.PacketData, bytes.Repeat([]byte("z"), 300))
	for range 3 {
		_, err := conn.Write(packet)
		require.NoError(t, err)
		got := make([]byte, len(packet))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, packet, got)
	}
}

func TestTLSBreaks(t *testing.T) {
	t.Parallel()
	server, client := tlsConfigs(t)
	ends := make(chan error, 1)
	address := serve(t, NewTCP("127.0.0.1:0", WithTLS(server)), echo(ends))
	conn := dialTLS(t, address, client)
	raw := conn.NetConn()
	_, err := raw.Write([]byte{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	require.NoError(t, err)
	require.ErrorIs(t, receive(t, ends), ErrBroken)
	readToEnd(t, raw)
}

func TestS26_CertificateReplacedOnDisk(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(cert, key string) Acceptor{
		"tls": func(cert, key string) Acceptor { return NewTCP("127.0.0.1:0", WithTLSFiles(cert, key)) },
		"wss": func(cert, key string) Acceptor { return NewWebSocket("127.0.0.1:0", WithTLSFiles(cert, key)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			certPEM, keyPEM := certificate(t, 1)
			certFile, keyFile := writeFiles(t, dir, certPEM, keyPEM)
			address := serve(t, build(certFile, keyFile), echo(make(chan error, 8)))
			insecure := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // the serial is what is looked at
			serial := func(c *tls.Conn) *big.Int { return c.ConnectionState().PeerCertificates[0].SerialNumber }
			old := dialTLS(t, address, insecure)
			require.EqualValues(t, 1, serial(old).Int64())

			require.NoError(t, os.WriteFile(certFile, []byte("half written"), 0o600))
			require.EqualValues(t, 1, serial(dialTLS(t, address, insecure)).Int64())

			certPEM, keyPEM = certificate(t, 3)
			writeFiles(t, dir, certPEM, keyPEM)
			later := time.Now().Add(time.Minute)
			require.NoError(t, os.Chtimes(certFile, later, later))
			require.EqualValues(t, 3, serial(dialTLS(t, address, insecure)).Int64())
			if name == "tls" {
				_, err := old.Write(packetOf(t, protocol.PacketHeartbeat, nil))
				require.NoError(t, err)
				_, err = io.ReadFull(old, []byte{0, 0, 0, 0})
				require.NoError(t, err)
			}
		})
	}
}

// dribble writes byte by byte.
type dribble struct{ net.Conn }

func (d *dribble) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestTLSCallbackPanics: a callback of the user's tls.Config ends one handshake,
// not the server.
func TestTLSCallbackPanics(t *testing.T) {
	t.Parallel()
	config, client := tlsConfigs(t)
	certificates := config.Certificates
	config.Certificates = nil
	var calls atomic.Int64
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if calls.Add(1) == 1 {
			panic("oops")
		}
		return &certificates[0], nil
	}
	counts := &tally{}
	a := NewTCP("127.0.0.1:0", WithTLS(config), WithMetrics(counts))
	address := serve(t, a, func(*Conn) {})
	require.Error(t, tls.Client(dialTCP(t, address), client).Handshake())
	require.Eventually(t, func() bool { return counts.refusals(RefusedTLS) == 1 }, patience, time.Millisecond)
	require.NoError(t, tls.Client(dialTCP(t, address), client).Handshake())
	require.Eventually(t, func() bool { return a.Connections() == 0 }, patience, time.Millisecond)
}

// TestListenTwiceChangesNothing: not even the TLS config that is in use.
func TestListenTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	certPEM, keyPEM := certificate(t, 1)
	certFile, keyFile := writeFiles(t, t.TempDir(), certPEM, keyPEM)
	a := NewTCP("127.0.0.1:0", WithTLSFiles(certFile, keyFile))
	serve(t, a, func(*Conn) {})
	used := a.tls
	require.ErrorIs(t, a.Listen(t.Context()), ErrListened)
	require.Same(t, used, a.tls)
}
