package acceptor

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestLimitsAddUp(t *testing.T) {
	t.Parallel()
	o, err := newOptions([]Option{
		WithLimits(Limits{Body: 1, Packet: 2, HTTPHeader: 3}), WithLimits(Limits{}), WithLimits(Limits{Packet: 4, Opening: 5}),
	})
	require.NoError(t, err)
	require.Equal(t, Limits{
		HandshakeBody: DefaultHandshakeBody, Body: 1, HandshakePacket: DefaultHandshakePacket, Packet: 4,
		Opening: 5, ProxyHeader: DefaultProxyHeader, HTTPHeader: 3,
	}, o.limits)
}

func TestS01_SilentConnectionsEndAtTheDeadline(t *testing.T) {
	t.Parallel()
	const clients = 1000
	ends := make(chan error, clients)
	a := NewTCP("127.0.0.1:0")
	address := serve(t, a, func(c *Conn) {
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		_, _, err := c.Next()
		ends <- err
	})
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = dialTCP(t, address)
		if i%2 == 1 {
			_, err := conns[i].Write([]byte{byte(protocol.PacketHandshake), 0})
			require.NoError(t, err)
		}
	}
	for range clients {
		require.ErrorIs(t, receive(t, ends), ErrDeadline)
	}
	for _, nc := range conns {
		require.Empty(t, readToEnd(t, nc))
	}
	require.Eventually(t, func() bool { return a.Connections() == 0 && a.shared.memory.held.Load() == 0 }, patience, time.Millisecond)
}

func TestS01_SilentHandshakesEndAtTheDeadline(t *testing.T) {
	t.Parallel()
	server, _ := tlsConfigs(t)
	soon := WithLimits(Limits{Opening: 200 * time.Millisecond})
	for name, a := range map[string]Acceptor{
		"tls": NewTCP("127.0.0.1:0", WithTLS(server), soon),
		"ws":  NewWebSocket("127.0.0.1:0", soon),
		"wss": NewWebSocket("127.0.0.1:0", WithTLS(server), soon),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, a, func(*Conn) { panic("opened") })
			var conns []net.Conn
			for i := range 50 {
				nc := dialTCP(t, address)
				if i%2 == 1 && name == "ws" {
					_, err := nc.Write([]byte("GET / HT"))
					require.NoError(t, err)
				}
				conns = append(conns, nc)
			}
			for _, nc := range conns {
				readToEnd(t, nc)
			}
		})
	}
}

func TestS01_OneByteASecondIsTooSlow(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 1)
	address := serve(t, NewTCP("127.0.0.1:0", WithLimits(Limits{HandshakePacket: 300 * time.Millisecond})), echo(ends))
	nc := dialTCP(t, address)
	packet := packetOf(t, protocol.PacketHandshake, make([]byte, 1000))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range packet {
		<-tick.C
		if _, err := nc.Write(packet[i : i+1]); err != nil {
			break
		}
	}
	require.ErrorIs(t, receive(t, ends), ErrSlow)
}

func TestPacketDeadlineEndsWithThePacket(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 1)
	address := serve(t, NewTCP("127.0.0.1:0", WithLimits(Limits{HandshakePacket: 1500 * time.Millisecond})), echo(ends))
	nc := dialTCP(t, address)
	packet := packetOf(t, protocol.PacketData, []byte("abcdef"))
	timer := time.NewTimer(0)
	for range 2 {
		_, err := nc.Write(packet[:5])
		require.NoError(t, err)
		timer.Reset(100 * time.Millisecond)
		<-timer.C
		_, err = nc.Write(packet[5:])
		require.NoError(t, err)
		_, err = io.ReadFull(nc, make([]byte, len(packet)))
		require.NoError(t, err)
		timer.Reset(1600 * time.Millisecond)
		<-timer.C
	}
	require.Empty(t, ends, "an idle connection has no deadline")
}

func TestReadDeadlineCanBeMoved(t *testing.T) {
	t.Parallel()
	address, conns := oneConn(t, NewTCP("127.0.0.1:0"))
	nc := dialTCP(t, address)
	c := receive(t, conns)
	packet := packetOf(t, protocol.PacketData, []byte("abcdef"))
	_, err := nc.Write(packet[:6])
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, _, err = c.Next()
	require.ErrorIs(t, err, ErrDeadline)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	_, err = nc.Write(packet[6:])
	require.NoError(t, err)
	_, body, err := c.Next()
	require.NoError(t, err)
	require.Equal(t, "abcdef", string(body))
}

// The owner may move its deadline when a read has timed out and does not know yet
// why: the packet's deadline, which is the first now, has not passed for that.
func TestADeadlineThatWasMovedDoesNotMakeAPacketSlow(t *testing.T) {
	t.Parallel()
	d := readDeadlines{packet: time.Now().Add(time.Hour)}
	require.ErrorIs(t, d.passed(), ErrDeadline)
	d.packet = time.Now()
	require.ErrorIs(t, d.passed(), ErrSlow)
}

func TestS02_AnnouncedLengthIsRefusedBeforeAllocation(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		limit int
		n     int
		want  error
	}{
		{"handshake limit", DefaultHandshakeBody, DefaultHandshakeBody + 1, ErrTooLarge},
		{"working limit", DefaultBody, DefaultBody + 1, ErrTooLarge},
		{"everything", 1000, 1<<24 - 1, ErrTooLarge},
		{"allowed but nothing comes", 1<<24 - 1, 1<<24 - 1, ErrShort},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := NewTCP("127.0.0.1:0")
			address, conns := oneConn(t, a)
			nc := dialTCP(t, address)
			c := receive(t, conns)
			c.SetLimit(tc.limit)
			_, err := nc.Write([]byte{byte(protocol.PacketData), byte(tc.n >> 16), byte(tc.n >> 8), byte(tc.n)})
			require.NoError(t, err)
			ends := make(chan error, 1)
			go func() {
				_, _, err := c.Next()
				ends <- err
			}()
			if tc.want == ErrShort {
				require.Eventually(t, func() bool { return a.shared.memory.held.Load() > 0 }, patience, time.Millisecond)
				require.LessOrEqual(t, a.shared.memory.held.Load(), int64(firstHold))
				require.NoError(t, nc.CloseWrite())
			}
			require.ErrorIs(t, receive(t, ends), tc.want)
			require.Zero(t, a.shared.memory.held.Load())
		})
	}
}

// TestS02_HeaderCostsNothing shows that 200 announced 16 MiB packets cost no
// more than their first buffers.
func TestS02_HeaderCostsNothing(t *testing.T) {
	const clients = 200
	a := NewTCP("127.0.0.1:0", WithLimits(Limits{HandshakeBody: protocol.MaxPacketBody}))
	ends := make(chan error, clients)
	address := serve(t, a, echo(ends))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = dialTCP(t, address)
		_, err := conns[i].Write([]byte{byte(protocol.PacketData), 0xff, 0xff, 0xff, 1, 2, 3})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return a.shared.memory.held.Load() == clients*firstHold }, patience, time.Millisecond)
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(8<<20))
	for _, nc := range conns {
		require.NoError(t, nc.Close())
	}
	for range conns {
		require.Error(t, receive(t, ends))
	}
	require.Zero(t, a.shared.memory.held.Load())
}

func TestBudgetOfUnfinishedPackets(t *testing.T) {
	t.Parallel()
	a := NewTCP("127.0.0.1:0", WithBudget(3*firstHold), WithLimits(Limits{HandshakeBody: 1 << 20}))
	ends := make(chan error, 8)
	address := serve(t, a, echo(ends))
	var conns []net.Conn
	for range 3 {
		nc := dialTCP(t, address)
		_, err := nc.Write([]byte{byte(protocol.PacketData), 1, 0, 0})
		require.NoError(t, err)
		conns = append(conns, nc)
	}
	require.Eventually(t, func() bool { return a.shared.memory.held.Load() == 3*firstHold }, patience, time.Millisecond)
	over := dialTCP(t, address)
	_, err := over.Write([]byte{byte(protocol.PacketData), 1, 0, 0})
	require.NoError(t, err)
	require.ErrorIs(t, receive(t, ends), ErrBudget)
	readToEnd(t, over)
	require.NoError(t, conns[0].Close())
	require.ErrorIs(t, receive(t, ends), ErrShort)
	again := dialTCP(t, address)
	packet := packetOf(t, protocol.PacketData, make([]byte, 3000))
	_, err = again.Write(packet[:2000])
	require.NoError(t, err)
	require.Eventually(t, func() bool { return a.shared.memory.held.Load() == 3*firstHold }, patience, time.Millisecond)
	_, err = again.Write(packet[2000:])
	require.NoError(t, err)
	_, err = io.ReadFull(again, make([]byte, len(packet)))
	require.NoError(t, err)
}

// What does not fit into the budget takes nothing from others, not for a moment.
func TestARefusedChargeTakesNoRoom(t *testing.T) {
	t.Parallel()
	m := &memory{budget: 10}
	stop := make(chan struct{})
	var refused sync.WaitGroup
	refused.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if m.charge(20) {
					t.Error("charged beyond the budget")
				}
			}
		}
	})
	short := 0
	for range 100_000 {
		if !m.charge(5) {
			short++
			continue
		}
		m.held.Add(-5)
	}
	close(stop)
	refused.Wait()
	require.Zero(t, short)
}

// TestS03_EveryTruncationAndBitFlip feeds damaged streams of valid packets.
func TestS03_EveryTruncationAndBitFlip(t *testing.T) {
	t.Parallel()
	for _, v := range packetVectors(t) {
		if len(v) > 300 {
			continue
		}
		for n := range v {
			checkStream(t, v[:n], 1+n%5)
		}
		for bit := range 8 * len(v) {
			flipped := bytes.Clone(v)
			flipped[bit/8] ^= 1 << (bit % 8)
			checkStream(t, flipped, 1+bit%7)
			checkFrames(t, flipped, 1+bit%7)
		}
	}
}
