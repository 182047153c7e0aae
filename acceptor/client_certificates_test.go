package acceptor

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	serverPEM, serverKey := certificate(t, 1)
	certFile, keyFile := writeFiles(t, t.TempDir(), serverPEM, serverKey)
	clientPEM, clientKey := certificate(t, 42) // signed by itself: its own authority
	authorities, _ := writeFiles(t, t.TempDir(), clientPEM, clientKey)
	known, err := tls.X509KeyPair(clientPEM, clientKey)
	require.NoError(t, err)
	strangerPEM, strangerKey := certificate(t, 43)
	stranger, err := tls.X509KeyPair(strangerPEM, strangerKey)
	require.NoError(t, err)
	for _, tc := range []struct {
		name  string
		need  ClientCertificates
		shows []tls.Certificate
		in    bool
	}{
		{"optional, none", ClientCertificatesOptional, nil, true},
		{"optional, known", ClientCertificatesOptional, []tls.Certificate{known}, true},
		{"optional, stranger", ClientCertificatesOptional, []tls.Certificate{stranger}, false},
		{"required, none", ClientCertificatesRequired, nil, false},
		{"required, known", ClientCertificatesRequired, []tls.Certificate{known}, true},
		{"required, stranger", ClientCertificatesRequired, []tls.Certificate{stranger}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			counts := &tally{}
			address, conns := oneConn(t, NewTCP("127.0.0.1:0",
				WithTLSFiles(certFile, keyFile), WithClientCertificates(authorities, tc.need), WithMetrics(counts)))
			config := &tls.Config{
				InsecureSkipVerify: true, MinVersion: tls.VersionTLS12,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if len(tc.shows) == 0 {
						return new(tls.Certificate), nil
					}
					return &tc.shows[0], nil
				},
			}
			nc := tls.Client(dialTCP(t, address), config)
			_ = nc.Handshake() // TLS 1.3 tells the client later that it was refused
			_, _ = nc.Write(packetOf(t, protocol.PacketHeartbeat, nil))
			if !tc.in {
				_, err := nc.Read(make([]byte, 1))
				require.Error(t, err)
				require.Eventually(t, func() bool { return counts.refusals(RefusedTLS) == 1 }, patience, time.Millisecond)
				return
			}
			c := receive(t, conns)
			if tc.shows == nil {
				require.Nil(t, c.Certificate())
			} else {
				require.EqualValues(t, 42, c.Certificate().SerialNumber.Int64())
			}
		})
	}
	ctx := context.Background()
	require.ErrorContains(t, NewTCP("127.0.0.1:0", WithClientCertificates(authorities, 0)).Listen(ctx), "WithTLS")
	require.ErrorContains(t, NewTCP("127.0.0.1:0", WithTLSFiles(certFile, keyFile), WithClientCertificates(keyFile, 0)).Listen(ctx), "no PEM certificate")
	require.Error(t, NewTCP("127.0.0.1:0", WithTLSFiles(certFile, keyFile), WithClientCertificates(filepath.Join(t.TempDir(), "no"), 0)).Listen(ctx))
	require.Error(t, NewTCP("127.0.0.1:0", WithTLSFiles(certFile, keyFile), WithClientCertificates("", 0)).Listen(ctx))

	plain, conns := oneConn(t, NewTCP("127.0.0.1:0"))
	dialTCP(t, plain)
	require.Nil(t, receive(t, conns).Certificate())
}

// TestCloseDoesNotWaitForCallbacks: a callback of the user's tls.Config hangs.
func TestCloseDoesNotWaitForCallbacks(t *testing.T) {
	t.Parallel()
	config, _ := tlsConfigs(t)
	certificates := config.Certificates
	entered, release := make(chan struct{}), make(chan struct{})
	hung := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(entered)
		<-release
		return &certificates[0], nil
	}}
	a := NewTCP("127.0.0.1:0", WithTLS(hung))
	require.NoError(t, a.Listen(context.Background()))
	served := make(chan error, 1)
	go func() { served <- a.Serve(func(*Conn) {}) }()
	nc := dialTCP(t, a.Addr().String())
	client := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	receive(t, entered)
	closed := make(chan error, 1)
	go func() { closed <- a.Close() }()
	require.NoError(t, receive(t, closed))
	require.NoError(t, receive(t, served))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, a.Wait(ctx), "it waits, as long as it may")
	close(release)
	require.NoError(t, a.Wait(context.Background()))
	require.Error(t, receive(t, done))
}
