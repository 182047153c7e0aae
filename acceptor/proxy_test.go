package acceptor

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func proxyHeader(t testing.TB, version byte, source string) []byte {
	t.Helper()
	from := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source))
	to := net.TCPAddrFromAddrPort(netip.AddrPortFrom(from.AddrPort().Addr(), 3250))
	var b bytes.Buffer
	_, err := proxyproto.HeaderProxyFromAddrs(version, from, to).WriteTo(&b)
	require.NoError(t, err)
	return b.Bytes()
}

func TestS25_ProxyHeaders(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	local := append([]byte(proxySignature), 0x20, 0, 0, 0)
	for _, tc := range []struct {
		name    string
		trusted []netip.Prefix
		header  []byte
		remote  string // "" means refused, "self" the peer itself
	}{
		{"v1", nil, proxyHeader(t, 1, "203.0.113.7:4711"), "203.0.113.7:4711"},
		{"v1 ipv6", nil, proxyHeader(t, 1, "[2001:db8::1]:4711"), "[2001:db8::1]:4711"},
		{"v2", nil, proxyHeader(t, 2, "203.0.113.7:4711"), "203.0.113.7:4711"},
		{"v2 ipv6 trusted", []netip.Prefix{loopback}, proxyHeader(t, 2, "[2001:db8::1]:4711"), "[2001:db8::1]:4711"},
		{"v2 local", nil, local, "self"},
		{"v1 unknown", nil, []byte("PROXY UNKNOWN\r\n"), "self"},
		{"untrusted", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, proxyHeader(t, 2, "203.0.113.7:4711"), ""},
		{"missing", nil, bytes.Repeat([]byte{3, 0, 0, 0}, 4), ""},
		{"v1 too long", nil, []byte("PROXY TCP4 " + strings.Repeat("1", 120) + "\r\n"), ""},
		{"v1 nonsense", nil, []byte("PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n"), ""},
		{"v2 huge", nil, append([]byte(proxySignature), 0x21, 0x11, 0xff, 0xff), ""},
		{"v2 addresses cut", nil, append([]byte(proxySignature), 0x21, 0x11, 0, 2, 1, 2), ""},
	} {
		for _, tr := range transports()[:4] {
			t.Run(tc.name+"/"+tr.name, func(t *testing.T) {
				t.Parallel()
				counts := &tally{}
				a, _ := tr.new(t, WithProxyProtocol(tc.trusted...), WithMetrics(counts))
				address, conns := oneConn(t, a)
				nc := dialTCP(t, address)
				_, err := nc.Write(tc.header)
				if tc.remote == "" {
					readToEnd(t, nc)
					require.Eventually(t, func() bool { return counts.refusals(RefusedProxy) == 1 }, patience, time.Millisecond)
					return
				}
				require.NoError(t, err)
				var client net.Conn = nc
				if tr.name == TransportTLS || tr.name == TransportWebSocketSecure {
					_, config := tlsConfigs(t)
					config.InsecureSkipVerify = true //nolint:gosec // another certificate than the server's
					conn := tls.Client(nc, config)
					require.NoError(t, conn.Handshake())
					client = conn
				}
				if strings.HasPrefix(tr.name, "ws") {
					client = dialUpgrade(t, client)
				}
				_, err = client.Write(framed(tr.name, packetOf(t, protocol.PacketData, []byte("hi"))))
				require.NoError(t, err)
				c := receive(t, conns)
				_, body, err := c.Next()
				require.NoError(t, err)
				require.Equal(t, "hi", string(body))
				want := tc.remote
				if want == "self" {
					want = nc.LocalAddr().String()
				}
				require.Equal(t, want, c.RemoteAddr().String())
			})
		}
	}
}

func TestS25_SlowProxyHeaderHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	counts := &tally{}
	address := serve(t, NewTCP("127.0.0.1:0", WithProxyProtocol(), WithMetrics(counts)), echo(make(chan error, 64)))
	slow := make([]net.Conn, 20)
	for i := range slow {
		slow[i] = dialTCP(t, address)
		_, err := slow[i].Write([]byte("PROXY TCP4 1.2")[:i%14])
		require.NoError(t, err)
	}
	quick := dialTCP(t, address)
	packet := packetOf(t, protocol.PacketHeartbeat, nil)
	_, err := quick.Write(append(proxyHeader(t, 1, "203.0.113.7:4711"), packet...))
	require.NoError(t, err)
	_, err = io.ReadFull(quick, make([]byte, len(packet)))
	require.NoError(t, err)
	for _, nc := range slow {
		require.Empty(t, readToEnd(t, nc))
	}
	require.Eventually(t, func() bool { return counts.refusals(RefusedProxy) == len(slow) }, patience, time.Millisecond)
}
