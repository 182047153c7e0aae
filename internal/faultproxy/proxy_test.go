package faultproxy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/internal/loopback"
)

const (
	long  = 20 * time.Second
	short = 50 * time.Millisecond // to see that something does not happen
)

// target is a server that echoes and remembers its connections.
type target struct {
	addr  string
	conns chan net.Conn
}

func newTarget(t *testing.T, serve func(net.Conn)) *target {
	t.Helper()
	l, err := loopback.Listen()
	require.NoError(t, err)
	tg := &target{addr: l.Addr().String(), conns: make(chan net.Conn, 10_000)}
	work := lifecycle.NewGroup(context.Background())
	var mu sync.Mutex // guards open
	var open []net.Conn
	work.Go("accept", func(context.Context) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			tg.conns <- c
			if serve != nil {
				work.Go("serve", func(context.Context) { serve(c) })
			}
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), long)
		defer cancel()
		require.NoError(t, work.Stop(ctx))
	})
	return tg
}

func echo(c net.Conn) {
	_, _ = io.Copy(c, c)
	_ = c.(*net.TCPConn).CloseWrite()
}

func dial(t *testing.T, p *faultproxy.Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(long)))
	return c.(*net.TCPConn)
}

func roundTrip(t *testing.T, c net.Conn) {
	t.Helper()
	send(t, c, "ping")
	require.Equal(t, "ping", receive(t, c, 4))
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

func receive(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	buf := make([]byte, n)
	_, err := io.ReadFull(c, buf)
	require.NoError(t, err)
	return string(buf)
}

func requireSilent(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(short)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(long)))
}

func TestForwardsBothWays(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, newTarget(t, echo).addr)
	c := dial(t, p)
	want := make([]byte, 1<<20)
	_, _ = rand.Read(want)
	work := lifecycle.NewGroup(context.Background())
	work.Go("send", func(context.Context) {
		_, _ = c.Write(want)
		_ = c.CloseWrite()
	})
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	require.NoError(t, work.Stop(context.Background()))
	require.Eventually(t, func() bool {
		return p.Stats() == faultproxy.Stats{Accepted: 1, BytesUp: 1 << 20, BytesDown: 1 << 20}
	}, long, time.Millisecond)
}

func TestDelayHoldsBytesBack(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, newTarget(t, echo).addr)
	c := dial(t, p)
	roundTrip(t, c)
	p.Shape(faultproxy.Up, faultproxy.Shape{Delay: short})
	begin := time.Now()
	roundTrip(t, c)
	require.GreaterOrEqual(t, time.Since(begin), short)
	p.Shape(faultproxy.Both, faultproxy.Shape{Delay: short})
	begin = time.Now()
	roundTrip(t, c)
	require.GreaterOrEqual(t, time.Since(begin), 2*short)
	p.Shape(faultproxy.Both, faultproxy.Shape{})
	roundTrip(t, c)
}

func TestSlicesArriveOneByOne(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	p := faultproxy.New(t, tg.addr)
	p.Shape(faultproxy.Up, faultproxy.Shape{Slice: 3, Gap: short})
	begin := time.Now()
	send(t, dial(t, p), "0123456789")
	server := <-tg.conns
	require.Equal(t, "012345678", receive(t, server, 9))
	require.GreaterOrEqual(t, time.Since(begin), 2*short)
	require.Equal(t, "9", receive(t, server, 1))
	require.GreaterOrEqual(t, time.Since(begin), 3*short)
}

func TestBandwidthIsLimited(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, newTarget(t, echo).addr)
	p.Shape(faultproxy.Up, faultproxy.Shape{Bandwidth: 10_000})
	c := dial(t, p)
	begin := time.Now()
	send(t, c, string(make([]byte, 2000)))
	receive(t, c, 2000)
	require.GreaterOrEqual(t, time.Since(begin), 100*time.Millisecond)
}

func TestPauseExisting(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, newTarget(t, echo).addr)
	frozen := dial(t, p)
	roundTrip(t, frozen)
	p.Pause(faultproxy.Existing)
	send(t, frozen, "late")
	requireSilent(t, frozen)
	roundTrip(t, dial(t, p)) // a new connection works
	p.Resume()
	require.Equal(t, "late", receive(t, frozen, 4))
}

func TestPauseAll(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, echo)
	p := faultproxy.New(t, tg.addr)
	old := dial(t, p)
	roundTrip(t, old)
	p.Pause(faultproxy.All)
	fresh := dial(t, p)
	send(t, old, "old")
	send(t, fresh, "new")
	requireSilent(t, old)
	requireSilent(t, fresh)
	require.Len(t, tg.conns, 1, "the target does not hear of the new connection")
	p.Resume()
	require.Equal(t, "old", receive(t, old, 3))
	require.Equal(t, "new", receive(t, fresh, 3))
	roundTrip(t, dial(t, p))
}

// While nothing moves the ends of streams do not, either.
func TestPauseHidesClose(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	p := faultproxy.New(t, tg.addr)
	fin, rst := dial(t, p), dial(t, p)
	servers := map[string]net.Conn{}
	for range 2 {
		s := <-tg.conns
		servers[s.RemoteAddr().String()] = s
	}
	p.Pause(faultproxy.All)
	for _, s := range servers {
		require.NoError(t, s.SetDeadline(time.Now().Add(long)))
		requireSilent(t, s)
	}
	require.NoError(t, fin.Close())
	require.NoError(t, rst.SetLinger(0))
	require.NoError(t, rst.Close())
	for _, s := range servers {
		requireSilent(t, s)
	}
	p.Resume()
	ended := map[bool]int{}
	for _, s := range servers {
		_, err := s.Read(make([]byte, 1))
		require.Error(t, err)
		ended[errors.Is(err, io.EOF)]++
	}
	require.Equal(t, map[bool]int{true: 1, false: 1}, ended, "one end of stream, one reset")
}

func TestPauseHoldsTheSenderBack(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, newTarget(t, echo).addr)
	c := dial(t, p)
	roundTrip(t, c)
	p.Pause(faultproxy.All)
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(4*short)))
	_, err := c.Write(make([]byte, 64<<20))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a frozen peer reads nothing")
}

func TestCutRST(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	p := faultproxy.New(t, tg.addr)
	c := dial(t, p)
	server := <-tg.conns
	require.Eventually(t, func() bool { return p.Stats().Open == 1 }, long, time.Millisecond)
	send(t, c, "x")
	receive(t, server, 1)
	p.Cut(faultproxy.RST)
	for _, end := range []net.Conn{c, server} {
		_, err := end.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	}
	require.Eventually(t, func() bool { return p.Stats().Open == 0 }, long, time.Millisecond)
	send(t, dial(t, p), "y")
	require.Equal(t, "y", receive(t, <-tg.conns, 1), "new connections are not concerned")
}

func TestCutFIN(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	p := faultproxy.New(t, tg.addr)
	c := dial(t, p)
	server := <-tg.conns
	send(t, c, "x")
	receive(t, server, 1)
	p.Cut(faultproxy.FIN)
	for _, end := range []net.Conn{c, server} {
		_, err := end.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		send(t, end, "into the void")
		require.NoError(t, end.Close())
	}
	require.Eventually(t, func() bool { return p.Stats().Open == 0 }, long, time.Millisecond)
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	p := faultproxy.New(t, tg.addr)
	c := dial(t, p)
	server := <-tg.conns
	send(t, c, "x")
	receive(t, server, 1)
	p.HalfClose(faultproxy.Down)
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	send(t, server, "void")
	send(t, c, "still heard")
	require.Equal(t, "still heard", receive(t, server, 11))
}

func TestRefuseAndAccept(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, newTarget(t, echo).addr)
	open := dial(t, p)
	roundTrip(t, open)
	require.NoError(t, p.Refuse())
	require.NoError(t, p.Refuse())
	_, err := net.Dial("tcp", p.Addr())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	roundTrip(t, open)
	require.NoError(t, p.Accept())
	require.NoError(t, p.Accept())
	roundTrip(t, dial(t, p))
	require.NoError(t, p.Close())
	require.Error(t, p.Accept())
	require.NoError(t, p.Close())
}

func TestTargetCanChangeAndBeAway(t *testing.T) {
	t.Parallel()
	nobody, err := loopback.Listen()
	require.NoError(t, err)
	require.NoError(t, nobody.Close())
	p := faultproxy.New(t, nobody.Addr().String())
	c, err := net.Dial("tcp", p.Addr())
	if err == nil { // the reset may come before Dial returns
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, c.Close())
	}
	require.ErrorIs(t, err, syscall.ECONNRESET, "a target that refuses resets the client")
	p.SetTarget(newTarget(t, echo).addr)
	roundTrip(t, dial(t, p))
}

// A reset by one side reaches the other as a reset.
func TestResetsPass(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	p := faultproxy.New(t, tg.addr)
	c := dial(t, p)
	server := <-tg.conns
	send(t, c, "x")
	receive(t, server, 1)
	require.NoError(t, server.(*net.TCPConn).SetLinger(0))
	require.NoError(t, server.Close())
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

// Every fault at once, from many goroutines, must leave nothing behind.
func TestStress(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, newTarget(t, echo).addr)
	work := lifecycle.NewGroup(context.Background())
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 20 {
				c, err := net.Dial("tcp", p.Addr())
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(short))
				_, _ = c.Write([]byte("hello"))
				_, _ = io.ReadFull(c, make([]byte, 5))
				_ = c.Close()
			}
		})
	}
	work.Go("faults", func(ctx context.Context) {
		faults := []func(){
			func() { p.Pause(faultproxy.All) }, func() { p.Cut(faultproxy.RST) },
			p.Resume, func() { p.Cut(faultproxy.FIN) },
			func() { _ = p.Refuse() }, func() { _ = p.Accept() },
			func() { p.HalfClose(faultproxy.Up) },
			func() { p.Shape(faultproxy.Both, faultproxy.Shape{Slice: 2, Delay: time.Millisecond}) },
			func() { p.Shape(faultproxy.Both, faultproxy.Shape{}) },
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
				faults[i%len(faults)]()
			case <-ctx.Done():
				return
			}
		}
	})
	clients.Wait()
	require.NoError(t, work.Stop(context.Background()))
	p.Resume()
	require.NoError(t, p.Accept())
	p.Cut(faultproxy.RST)
	p.Shape(faultproxy.Both, faultproxy.Shape{})
	roundTrip(t, dial(t, p))
}
