package acceptor

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7/32", "[::ffff:192.0.2.7]:1": "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64",
	} {
		a, err := net.ResolveTCPAddr("tcp", address)
		require.NoError(t, err)
		network, ok := Network(a)
		require.True(t, ok)
		require.Equal(t, want, network.String())
	}
	for _, a := range []net.Addr{nil, memoryAddr{}} {
		_, ok := Network(a)
		require.False(t, ok)
	}
}

// refused waits until the other side closes without a word.
func refused(t *testing.T, nc net.Conn) {
	t.Helper()
	require.Empty(t, readToEnd(t, nc))
}

// openIn is the number of connections that a gate has let in.
func openIn(g *Gate) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// TestS19_ConnectionCaps: over two acceptors, in all and from one address; who
// leaves makes room.
func TestS19_ConnectionCaps(t *testing.T) {
	t.Parallel()
	t.Run("in all", func(t *testing.T) {
		t.Parallel()
		gate, counts := NewGate(3, 0), &tally{}
		first, conns := oneConn(t, NewTCP("127.0.0.1:0", WithGate(gate), WithMetrics(counts)))
		second, others := oneConn(t, NewTCP("127.0.0.1:0", WithGate(gate), WithMetrics(counts)))
		dialTCP(t, first)
		dialTCP(t, first)
		dialTCP(t, second)
		receive(t, conns)
		receive(t, conns)
		receive(t, others)
		require.Equal(t, 3, openIn(gate))
		refused(t, dialTCP(t, first))
		refused(t, dialTCP(t, second))
		require.Eventually(t, func() bool { return counts.refusals(RefusedFull) == 2 }, patience, time.Millisecond, "counted after the close")
	})
	t.Run("from one address", func(t *testing.T) {
		t.Parallel()
		gate, counts := NewGate(0, 2), &tally{}
		ends := make(chan error, 8)
		address := serve(t, NewTCP("127.0.0.1:0", WithGate(gate), WithMetrics(counts)), echo(ends))
		from := func(ip byte) net.Conn {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, ip)}, Timeout: patience}
			nc, err := d.Dial("tcp", address)
			require.NoError(t, err)
			t.Cleanup(func() { _ = nc.Close() })
			require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
			return nc
		}
		works := func(nc net.Conn) {
			packet := packetOf(t, protocol.PacketHeartbeat, nil)
			_, err := nc.Write(packet)
			require.NoError(t, err)
			_, err = nc.Read(make([]byte, len(packet)))
			require.NoError(t, err)
		}
		one, two, neighbour := from(2), from(2), from(3)
		works(one)
		works(two)
		refused(t, from(2))
		works(neighbour)
		require.NoError(t, one.Close())
		receive(t, ends)
		require.Eventually(t, func() bool { return openIn(gate) == 2 }, patience, time.Millisecond)
		works(from(2))
		require.Eventually(t, func() bool { return counts.refusals(RefusedAddress) == 1 }, patience, time.Millisecond)
	})
	t.Run("by what a proxy says", func(t *testing.T) {
		t.Parallel()
		gate := NewGate(0, 1)
		address, conns := oneConn(t, NewTCP("127.0.0.1:0", WithGate(gate), WithProxyProtocol()))
		for i, source := range []string{"203.0.113.7:1", "203.0.113.8:1", "203.0.113.7:2", "[2001:db8::1]:1", "[2001:db8::2]:1"} {
			nc := dialTCP(t, address)
			_, err := nc.Write(proxyHeader(t, 2, source))
			require.NoError(t, err)
			if i == 2 || i == 4 {
				refused(t, nc)
			} else {
				receive(t, conns)
			}
		}
		require.Equal(t, 3, openIn(gate))
		require.Len(t, gate.from, 3)
	})
}

// TestGateKeepsNothing: of clients that left.
func TestGateKeepsNothing(t *testing.T) {
	t.Parallel()
	gate := NewGate(0, 5)
	for i := range 1000 {
		p, ok := gate.seat(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)))
		require.True(t, ok)
		gate.unseat(p)
	}
	require.Empty(t, gate.from)
}
