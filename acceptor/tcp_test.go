package acceptor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestTCPEchoesPacketsOfManySizes(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 1)
	address := serve(t, NewTCP("127.0.0.1:0"), func(c *Conn) {
		require.Equal(t, TransportTCP, c.Transport())
		c.Established()
		echo(ends)(c)
	})
	nc := dialTCP(t, address)
	for _, size := range []int{0, 1, 100, 255, 4092, 4093, 8000, scratchSize - 4, scratchSize, 40_000, DefaultBody} {
		packet := packetOf(t, protocol.PacketData, bytes.Repeat([]byte{byte(size)}, size))
		_, err := nc.Write(packet)
		require.NoError(t, err)
		answer := make([]byte, len(packet))
		_, err = io.ReadFull(nc, answer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(packet, answer), "size %d", size)
	}
	require.NoError(t, nc.CloseWrite())
	require.ErrorIs(t, receive(t, ends), io.EOF)
	require.Empty(t, readToEnd(t, nc))
}

func TestTCPByteAtATime(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 1)
	address := serve(t, NewTCP("127.0.0.1:0"), echo(ends))
	nc := dialTCP(t, address)
	sent := append(packetOf(t, protocol.PacketHandshake, bytes.Repeat([]byte("x"), 600)),
		packetOf(t, protocol.PacketHandshakeAck, nil)...)
	for i := range sent {
		_, err := nc.Write(sent[i : i+1])
		require.NoError(t, err)
	}
	require.NoError(t, nc.CloseWrite())
	require.Equal(t, sent, readToEnd(t, nc))
	require.ErrorIs(t, receive(t, ends), io.EOF)
}

func TestTCPManyPacketsPerSegment(t *testing.T) {
	t.Parallel()
	counted := make(chan int, 1)
	address := serve(t, NewTCP("127.0.0.1:0"), func(c *Conn) {
		n := 0
		for {
			_, body, err := c.Next()
			if err != nil {
				counted <- n
				return
			}
			if want := []byte{byte(n), byte(n >> 8)}; !bytes.Equal(body[:2], want) {
				counted <- -1
				return
			}
			n++
		}
	})
	nc := dialTCP(t, address)
	var all []byte
	for i := range 20_000 {
		all = append(all, packetOf(t, protocol.PacketData, append([]byte{byte(i), byte(i >> 8)}, make([]byte, i%97)...))...)
	}
	_, err := nc.Write(all)
	require.NoError(t, err)
	require.NoError(t, nc.CloseWrite())
	require.Equal(t, 20_000, receive(t, counted))
}

func TestS18_TCPEnds(t *testing.T) {
	t.Parallel()
	packet := packetOf(t, protocol.PacketData, []byte("abc"))
	for _, tc := range []struct {
		name string
		sent []byte
		rst  bool
		want error
	}{
		{"fin at a boundary", packet, false, io.EOF},
		{"fin at once", nil, false, io.EOF},
		{"fin in the header", packet[:3], false, ErrHeader},
		{"fin after the header", packet[:4], false, ErrShort},
		{"fin in the body", packet[:6], false, ErrShort},
		{"rst", nil, true, ErrBroken},
		{"rst in a packet", packet[:6], true, ErrBroken},
		{"wrong type", []byte{9}, false, ErrWrongType},
		{"type 0", []byte{0, 0, 0, 0}, false, ErrWrongType},
		{"a TLS hello", []byte{0x16, 3, 1}, false, ErrWrongType},
		{"an HTTP request", []byte("GET / HTTP/1.1\r\n\r\n"), false, ErrWrongType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ends := make(chan error, 1)
			address := serve(t, NewTCP("127.0.0.1:0"), func(c *Conn) {
				for {
					if _, _, err := c.Next(); err != nil {
						ends <- err
						return
					}
				}
			})
			nc := dialTCP(t, address)
			_, err := nc.Write(tc.sent)
			require.NoError(t, err)
			if tc.rst {
				require.NoError(t, nc.SetLinger(0))
				require.NoError(t, nc.Close())
			} else if tc.want != ErrWrongType {
				require.NoError(t, nc.CloseWrite())
			}
			require.ErrorIs(t, receive(t, ends), tc.want)
			if !tc.rst {
				readToEnd(t, nc)
			}
		})
	}
}

func TestS18_HalfCloseIsStillAnswered(t *testing.T) {
	t.Parallel()
	address, conns := oneConn(t, NewTCP("127.0.0.1:0"))
	nc := dialTCP(t, address)
	c := receive(t, conns)
	require.NoError(t, nc.CloseWrite())
	_, _, err := c.Next()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, c.WriteAll([][]byte{[]byte("answer")}, time.Time{}))
	require.NoError(t, c.CloseWrite())
	require.Equal(t, "answer", string(readToEnd(t, nc)))
	require.ErrorIs(t, c.WriteAll([][]byte{[]byte("more")}, time.Time{}), ErrClosed)
}

func TestCloseWriteLetsTheClientTalkOn(t *testing.T) {
	t.Parallel()
	address, conns := oneConn(t, NewTCP("127.0.0.1:0"))
	nc := dialTCP(t, address)
	c := receive(t, conns)
	require.NoError(t, c.CloseWrite())
	require.NoError(t, c.CloseWrite())
	require.Empty(t, readToEnd(t, nc))
	_, err := nc.Write(packetOf(t, protocol.PacketData, []byte("late")))
	require.NoError(t, err)
	_, body, err := c.Next()
	require.NoError(t, err)
	require.Equal(t, "late", string(body))
}

func TestListenNamesTheAddress(t *testing.T) {
	t.Parallel()
	address := serve(t, NewTCP("127.0.0.1:0"), func(*Conn) {})
	for _, a := range []Acceptor{NewTCP(address), NewWebSocket(address)} {
		require.ErrorContains(t, a.Listen(context.Background()), address)
		require.Nil(t, a.Addr())
		require.ErrorIs(t, a.Serve(nil), ErrNotListening)
		require.NoError(t, a.Close())
		require.ErrorIs(t, a.Listen(context.Background()), ErrListened)
		require.NoError(t, a.Serve(nil), "closed before")
		require.NoError(t, a.Wait(context.Background()))
	}
}

func TestListenTellsAllFaultsOfOptions(t *testing.T) {
	t.Parallel()
	a := NewTCP("127.0.0.1:0", WithLimits(Limits{Body: 1 << 24, HandshakeBody: -1}), WithBudget(0),
		WithTLS(nil), WithTLSFiles("", "x"), WithLogger(nil), WithMetrics(nil), WithOrigins("example.com"))
	err := a.Listen(context.Background())
	for _, part := range []string{"Limits.Body", "Limits.HandshakeBody", "budget", "WithTLS ", "WithTLSFiles", "WithLogger", "WithMetrics", "WithOrigins", "example.com"} {
		require.ErrorContains(t, err, part)
	}
	require.NoError(t, a.Close())
	m := NewMemory(WithProxyProtocol())
	require.Error(t, m.Listen(context.Background()))
	require.NoError(t, m.Close())
	missing := NewTCP("127.0.0.1:0", WithTLSFiles("/nowhere.pem", "/nowhere.key"))
	require.ErrorContains(t, missing.Listen(context.Background()), "/nowhere.pem")
	require.NoError(t, missing.Close())
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	counts := &tally{}
	a := NewTCP("127.0.0.1:0", WithGate(NewGate(2, 0)), WithMetrics(counts))
	ends := make(chan error, 8)
	address := serve(t, a, echo(ends))
	first, second := dialTCP(t, address), dialTCP(t, address)
	require.Eventually(t, func() bool { return a.Connections() == 2 }, patience, time.Millisecond)
	require.Empty(t, readToEnd(t, dialTCP(t, address)))
	require.Equal(t, 1, counts.refusals(RefusedFull))
	require.NoError(t, first.Close())
	require.ErrorIs(t, receive(t, ends), io.EOF)
	require.Eventually(t, func() bool { return a.Connections() == 1 }, patience, time.Millisecond)
	third := dialTCP(t, address)
	for _, nc := range []net.Conn{second, third} {
		_, err := nc.Write(packetOf(t, protocol.PacketHeartbeat, nil))
		require.NoError(t, err)
		_, err = io.ReadFull(nc, make([]byte, 4))
		require.NoError(t, err)
	}
	require.EqualValues(t, 4, counts.accepted.Load())
}

func TestPanicEndsOneConnectionOnly(t *testing.T) {
	t.Parallel()
	counts := &tally{}
	address := serve(t, NewTCP("127.0.0.1:0", WithMetrics(counts)), func(*Conn) { panic("oops") })
	for range 3 {
		require.Empty(t, readToEnd(t, dialTCP(t, address)))
	}
	require.Eventually(t, func() bool { return counts.closed.Load() == 3 }, patience, time.Millisecond)
}

func TestCloseLeavesConnectionsAlive(t *testing.T) {
	t.Parallel()
	a := NewTCP("127.0.0.1:0")
	require.NoError(t, a.Listen(context.Background()))
	served := make(chan error, 1)
	ends := make(chan error, 1)
	go func() { served <- a.Serve(echo(ends)) }()
	nc := dialTCP(t, a.Addr().String())
	packet := packetOf(t, protocol.PacketData, []byte("x"))
	exchange := func() {
		_, err := nc.Write(packet)
		require.NoError(t, err)
		_, err = io.ReadFull(nc, make([]byte, len(packet)))
		require.NoError(t, err)
	}
	exchange()
	short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, a.Wait(short), context.DeadlineExceeded, "not closed yet")
	require.NoError(t, a.Close())
	require.NoError(t, a.Close())
	require.NoError(t, <-served)
	exchange()
	short, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, a.Wait(short), context.DeadlineExceeded, "a handle runs")
	require.NoError(t, nc.Close())
	require.NoError(t, a.Wait(context.Background()))
	require.Equal(t, 0, a.Connections())
	_, err := net.Dial("tcp", a.Addr().String())
	require.Error(t, err)
	require.True(t, errors.Is(<-ends, io.EOF))
}

func TestProbe(t *testing.T) {
	t.Parallel()
	address, conns := oneConn(t, NewTCP("127.0.0.1:0"))
	nc := dialTCP(t, address)
	c := receive(t, conns)
	unread, err := c.Probe()
	require.NoError(t, err)
	require.False(t, unread)
	_, err = nc.Write(packetOf(t, protocol.PacketHeartbeat, nil))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		unread, err := c.Probe()
		return unread && err == nil
	}, patience, time.Millisecond)
	require.NoError(t, nc.SetLinger(0))
	require.NoError(t, nc.Close())
	require.Eventually(t, func() bool {
		_, err := c.Probe()
		return errors.Is(err, ErrBroken)
	}, patience, time.Millisecond, "a reset shows although bytes wait")
	require.NoError(t, c.Close(CloseStatus{}))
	_, err = c.Probe()
	require.ErrorIs(t, err, ErrClosed)
}
