package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// front ends TLS before target. It asks for a certificate and takes any.
func front(t *testing.T, pair tls.Certificate, target string) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"h2"},
	})
	require.NoError(t, err)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() { relay(conn, target) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		served.Wait()
	})
	return listener.Addr().String()
}

func relay(conn net.Conn, target string) {
	defer conn.Close() //nolint:errcheck // a test's
	to, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer to.Close() //nolint:errcheck // a test's
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(conn, to); _ = conn.Close() })
	_, _ = io.Copy(to, conn)
	_ = to.Close()
	back.Wait()
}

// files writes a certificate and its key.
func files(t *testing.T, pair tls.Certificate) (cert, key string) {
	t.Helper()
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	return cert, key
}

func TestServersOverTLS(t *testing.T) {
	t.Parallel()
	example := httptest.NewTLSServer(nil) // its certificate, which signed itself, is for example.com
	pair := example.TLS.Certificates[0]
	example.Close()
	cert, key := files(t, pair)
	plain := etcd(t)
	join(t, plain, server("r-1", "room"))
	at := "https://" + front(t, pair, plain)
	p, code := run(t, "", "servers", "--endpoints", at, "--ca", cert, "--cert", cert, "--key", key, "--servername", "example.com")
	require.Zero(t, code, p.err.String())
	require.Contains(t, p.out.String(), "r-1")

	p = command(t, "servers")
	p.cmd.Env = append(p.cmd.Env, "CEREUS_CLUSTER_SD_ETCD_ENDPOINTS="+at, "CEREUS_CLUSTER_SD_ETCD_TLS_CA="+cert,
		"CEREUS_CLUSTER_SD_ETCD_TLS_CERT="+cert, "CEREUS_CLUSTER_SD_ETCD_TLS_KEY="+key, "CEREUS_CLUSTER_SD_ETCD_TLS_SERVERNAME=example.com",
		"CEREUS_CLUSTER_SD_ETCD_USER=u", "CEREUS_CLUSTER_SD_ETCD_PASS=p") // etcd has no users and asks for none
	require.NoError(t, p.cmd.Start())
	require.Zero(t, p.wait(), p.err.String())
	require.Contains(t, p.out.String(), "r-1")

	p, code = run(t, "", "servers", "--endpoints", at, "--ca", cert, "--cert", cert, "--key", key, "--servername", "elsewhere", "--timeout", "2s")
	require.Equal(t, 1, code)
	require.Contains(t, p.err.String(), "not elsewhere")
}
