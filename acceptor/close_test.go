package acceptor

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// openings of every transport, for tests that are the same on all.
type transportCase struct {
	name string
	new  func(t *testing.T, opts ...Option) (Acceptor, func() net.Conn)
}

func transports() []transportCase {
	return []transportCase{
		{TransportTCP, func(t *testing.T, opts ...Option) (Acceptor, func() net.Conn) {
			a := NewTCP("127.0.0.1:0", opts...)
			return a, func() net.Conn { return dialTCP(t, a.Addr().String()) }
		}},
		{TransportTLS, func(t *testing.T, opts ...Option) (Acceptor, func() net.Conn) {
			server, client := tlsConfigs(t)
			a := NewTCP("127.0.0.1:0", append(opts, WithTLS(server))...)
			return a, func() net.Conn { return dialTLS(t, a.Addr().String(), client) }
		}},
		{TransportWebSocket, func(t *testing.T, opts ...Option) (Acceptor, func() net.Conn) {
			a := NewWebSocket("127.0.0.1:0", opts...)
			return a, func() net.Conn { return dialUpgrade(t, dialTCP(t, a.Addr().String())) }
		}},
		{TransportWebSocketSecure, func(t *testing.T, opts ...Option) (Acceptor, func() net.Conn) {
			server, client := tlsConfigs(t)
			a := NewWebSocket("127.0.0.1:0", append(opts, WithTLS(server))...)
			return a, func() net.Conn { return dialUpgrade(t, dialTLS(t, a.Addr().String(), client)) }
		}},
		{TransportMemory, func(t *testing.T, opts ...Option) (Acceptor, func() net.Conn) {
			a := NewMemory(opts...)
			return a, func() net.Conn {
				nc, err := a.Dial(t.Context())
				require.NoError(t, err)
				t.Cleanup(func() { _ = nc.Close() })
				return nc
			}
		}},
	}
}

// framed is packet as a client of the transport sends it.
func framed(transport string, packet []byte) []byte {
	if transport == TransportWebSocket || transport == TransportWebSocketSecure {
		return clientFrame(opBinary|finBit, packet)
	}
	return packet
}

func TestCloseUnblocksNext(t *testing.T) {
	t.Parallel()
	for _, tr := range transports() {
		for _, partial := range []int{0, 1, 3, 6} {
			t.Run(tr.name, func(t *testing.T) {
				t.Parallel()
				a, dial := tr.new(t)
				_, conns := oneConn(t, a)
				nc := dial()
				c := receive(t, conns)
				require.Equal(t, tr.name, c.Transport())
				ends := make(chan error, 1)
				go func() {
					_, _, err := c.Next()
					ends <- err
				}()
				if partial > 0 {
					_, err := nc.Write(framed(tr.name, packetOf(t, protocol.PacketData, make([]byte, 20)))[:partial])
					require.NoError(t, err)
				}
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() { _ = c.Close(CloseStatus{Code: CloseGoingAway}) })
				}
				wg.Wait()
				require.ErrorIs(t, receive(t, ends), ErrClosed)
				_, _, err := c.Next()
				require.ErrorIs(t, err, ErrClosed)
				_, err = c.TryWrite([]byte("x"))
				require.ErrorIs(t, err, ErrClosed)
				require.ErrorIs(t, c.WriteAll([][]byte{{1}}, time.Time{}), ErrClosed)
				readToEnd(t, nc)
			})
		}
	}
}

func TestCloseUnblocksWriteAll(t *testing.T) {
	t.Parallel()
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, dial := tr.new(t)
			_, conns := oneConn(t, a)
			dial()
			c := receive(t, conns)
			ends := make(chan error, 1)
			started := make(chan struct{})
			go func() {
				chunk := make([]byte, 1<<16)
				close(started)
				for {
					if err := c.WriteAll([][]byte{chunk, chunk[:5]}, time.Now().Add(patience)); err != nil {
						ends <- err
						return
					}
				}
			}()
			<-started
			blocked(t, c)
			before := time.Now()
			require.NoError(t, c.Close(CloseStatus{}))
			require.Less(t, time.Since(before), 2*time.Second, "close does not wait")
			require.ErrorIs(t, receive(t, ends), ErrClosed)
		})
	}
}

// blocked waits until a WriteAll of c makes no more progress.
func blocked(t *testing.T, c *Conn) {
	t.Helper()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for held := 0; held < 5; {
		timer.Reset(20 * time.Millisecond)
		<-timer.C
		if c.write.mu.TryLock() {
			c.write.mu.Unlock()
			held = 0
		} else {
			held++
		}
	}
}

func TestS12_WriteDeadlineTearsTheStream(t *testing.T) {
	t.Parallel()
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, dial := tr.new(t)
			_, conns := oneConn(t, a)
			nc := dial()
			c := receive(t, conns)
			var err error
			for err == nil {
				err = c.WriteAll([][]byte{make([]byte, 1<<18)}, time.Now().Add(100*time.Millisecond))
			}
			require.ErrorIs(t, err, ErrDeadline)
			require.ErrorIs(t, c.WriteAll([][]byte{{1}}, time.Time{}), ErrTorn)
			_, err = c.TryWrite([]byte{1})
			require.ErrorIs(t, err, ErrTorn)
			require.NoError(t, c.Close(CloseStatus{Code: CloseGoingAway, Reason: "late"}))
			if tr.name == TransportTCP || tr.name == TransportWebSocket {
				got := readToEnd(t, nc)
				require.Len(t, got, bytes.Count(got, []byte{0}), "no byte follows a torn write")
			}
		})
	}
}

func TestTryWriteFillsTheSocketAndWriteAllContinues(t *testing.T) {
	t.Parallel()
	address, conns := oneConn(t, NewTCP("127.0.0.1:0"))
	nc := dialTCP(t, address)
	c := receive(t, conns)
	chunk := make([]byte, 1<<20)
	for i := range chunk {
		chunk[i] = byte(i % 251)
	}
	total, rest := 0, []byte(nil)
	for rest == nil {
		n, err := c.TryWrite(chunk)
		require.NoError(t, err)
		total += n
		if n < len(chunk) {
			rest = chunk[n:]
		}
	}
	n, err := c.TryWrite(rest)
	require.NoError(t, err)
	total, rest = total+n, rest[n:]
	done := make(chan error, 1)
	go func() {
		done <- c.WriteAll([][]byte{rest, chunk[:7], nil, chunk[:9]}, time.Now().Add(patience))
	}()
	total += len(rest) + 16
	got := make([]byte, total)
	for at := 0; at < total; {
		n, err := nc.Read(got[at:])
		require.NoError(t, err)
		at += n
	}
	require.NoError(t, receive(t, done))
	for i, b := range got[:total-16] {
		if b != chunk[i%len(chunk)] {
			require.Equal(t, chunk[i%len(chunk)], b, "at %d", i)
		}
	}
	// A deadline that passed since must not spoil the next write.
	require.NoError(t, c.WriteAll([][]byte{{1}}, time.Now().Add(time.Millisecond)))
	n, err = c.TryWrite([]byte{2})
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestWriteAllTakesManyBuffers(t *testing.T) {
	t.Parallel()
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, dial := tr.new(t)
			_, conns := oneConn(t, a)
			nc := dial()
			c := receive(t, conns)
			var bufs [][]byte
			want := 0
			for i := range 3000 {
				b := make([]byte, i%50)
				for j := range b {
					b[j] = byte(want)
					want++
				}
				bufs = append(bufs, b)
			}
			done := make(chan error, 1)
			go func() { done <- c.WriteAll(bufs, time.Now().Add(patience)) }()
			got := make([]byte, want)
			for at := 0; at < want; {
				n, err := nc.Read(got[at:])
				require.NoError(t, err)
				at += n
			}
			for i := range got {
				if got[i] != byte(i) {
					require.Equal(t, byte(i), got[i])
				}
			}
			require.NoError(t, receive(t, done))
		})
	}
}

func TestClosingServerUnderLoadLosesNothingOfAConnection(t *testing.T) {
	t.Parallel()
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, dial := tr.new(t)
			ends := make(chan error, 64)
			serve(t, a, echo(ends))
			for range 20 {
				nc := dial()
				_, err := nc.Write(framed(tr.name, packetOf(t, protocol.PacketHeartbeat, nil)))
				require.NoError(t, err)
				require.NoError(t, nc.Close())
			}
			for range 20 {
				err := receive(t, ends)
				require.Error(t, err)
				require.False(t, errors.Is(err, ErrFrame), "%v", err)
			}
		})
	}
}
