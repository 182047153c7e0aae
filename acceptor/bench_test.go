package acceptor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// echoOnce answers packets without allocating.
func echoOnce(c *Conn) {
	var out []byte
	for {
		kind, body, err := c.Next()
		if err != nil {
			return
		}
		out = out[:0]
		if c.frames != nil {
			out = appendFrameHeader(out, opBinary, protocol.HeaderSize+len(body))
		}
		out, _ = protocol.AppendPacket(out, kind, body)
		n, err := c.TryWrite(out)
		if err == nil && n < len(out) {
			err = c.WriteAll([][]byte{out[n:]}, time.Now().Add(patience))
		}
		if err != nil {
			return
		}
	}
}

// BenchmarkEcho sends one 64-byte packet and waits for it, through the
// acceptor and through a bare goroutine that copies what it reads.
func BenchmarkEcho(b *testing.B) {
	packet := packetOf(b, protocol.PacketData, make([]byte, 60))
	server, client := tlsConfigs(b)
	run := func(b *testing.B, nc net.Conn, out []byte, in int) {
		got := make([]byte, in)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := nc.Write(out); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(nc, got); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("bare", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		defer func() { _ = l.Close() }()
		go func() {
			nc, err := l.Accept()
			if err == nil {
				_, _ = io.CopyBuffer(struct{ io.Writer }{nc}, struct{ io.Reader }{nc}, make([]byte, 4096))
				_ = nc.Close()
			}
		}()
		nc := dialTCP(b, l.Addr().String())
		run(b, nc, packet, len(packet))
		_ = nc.Close()
	})
	b.Run("tcp", func(b *testing.B) {
		nc := dialTCP(b, serve(b, NewTCP("127.0.0.1:0"), echoOnce))
		run(b, nc, packet, len(packet))
		_ = nc.Close()
	})
	b.Run("ws", func(b *testing.B) {
		nc := dialUpgrade(b, dialTCP(b, serve(b, NewWebSocket("127.0.0.1:0"), echoOnce)))
		run(b, nc, clientFrame(finBit|opBinary, packet), len(packet)+2)
		_ = nc.Close()
	})
	b.Run("tls", func(b *testing.B) {
		nc := dialTLS(b, serve(b, NewTCP("127.0.0.1:0", WithTLS(server)), echoOnce), client)
		run(b, nc, packet, len(packet))
		_ = nc.Close()
	})
}

// BenchmarkNext reads 64-byte packets that are there already.
func BenchmarkNext(b *testing.B) {
	packet := packetOf(b, protocol.PacketData, make([]byte, 60))
	for name, one := range map[string][]byte{"tcp": packet, "ws": clientFrame(finBit|opBinary, packet)} {
		b.Run(name, func(b *testing.B) {
			c := slicedConn(b, nil, 1)
			if name == "ws" {
				c.frames = &frameReader{}
			}
			c.link = &endless{stream: bytes.Repeat(one, 1000)}
			b.SetBytes(int64(len(one)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// endless is a link whose stream starts again.
type endless struct {
	pipeLink
	stream []byte
	at     int
}

func (l *endless) fill(in *inbox) error {
	n := copy(in.begin(), l.stream[l.at:])
	l.at = (l.at + n) % len(l.stream)
	in.commit(n)
	return nil
}

// TestIdleMemory measures what an idle connection costs in a process that only
// serves: the clients are in another one. It runs when CEREUSTEST_IDLE is the
// number of connections per transport. Limits: 10 KiB for tcp and ws (issue:
// one goroutine and at most 10 KiB), 18 KiB for tls.
func TestIdleMemory(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("CEREUSTEST_IDLE"))
	if n == 0 {
		t.Skip("set CEREUSTEST_IDLE to a number of connections")
	}
	server, _ := tlsConfigs(t)
	for _, tc := range []struct {
		name  string
		limit float64
		a     Acceptor
	}{
		{TransportTCP, 10, NewTCP("127.0.0.1:0")},
		{TransportWebSocket, 10, NewWebSocket("127.0.0.1:0")},
		{TransportTLS, 18, NewTCP("127.0.0.1:0", WithTLS(server))},
		{TransportWebSocketSecure, 18, NewWebSocket("127.0.0.1:0", WithTLS(server))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := settled(t)
			a := tc.a
			reached := make(chan struct{}, n)
			address := serve(t, a, func(c *Conn) {
				c.Established()
				for {
					if _, _, err := c.Next(); err != nil {
						return
					}
					reached <- struct{}{}
				}
			})
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", childEnv, tc.name, address, n))
			child.Stderr = os.Stderr
			stdin, err := child.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, child.Start())
			for range 2 * n {
				receive(t, reached)
			}
			after := settled(t)
			per := func(a, b uint64) float64 { return float64(int64(a)-int64(b)) / float64(n) / 1024 }
			t.Logf("%s: %d connections, each %.2f KiB resident, %.2f KiB heap, %.2f KiB stacks, %.2f goroutines", tc.name, n,
				per(after.resident, before.resident), per(after.heap, before.heap), per(after.stacks, before.stacks),
				float64(after.goroutines-before.goroutines)/float64(n))
			require.Less(t, per(after.resident, before.resident), tc.limit)
			require.NoError(t, stdin.Close())
			require.NoError(t, child.Wait())
		})
	}
}

type usage struct {
	resident, heap, stacks uint64
	goroutines             int
}

// settled collects garbage until nothing changes and looks at the process.
func settled(t testing.TB) usage {
	t.Helper()
	for range 5 {
		runtime.GC()
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f, err := os.Open("/proc/self/smaps_rollup")
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); fields[0] == "Rss:" {
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			require.NoError(t, err)
			return usage{resident: kib << 10, heap: m.HeapAlloc, stacks: m.StackInuse, goroutines: runtime.NumGoroutine()}
		}
	}
	require.Fail(t, "no Rss")
	return usage{}
}

// runClients is the child of TestIdleMemory: it opens connections, sends two
// heartbeats on each and holds them until its input ends.
func runClients(task string) int {
	var transport, address string
	var n int
	if _, err := fmt.Sscan(task, &transport, &address, &n); err != nil {
		return 2
	}
	heartbeat := framed(transport, []byte{byte(protocol.PacketHeartbeat), 0, 0, 0})
	conns := make([]net.Conn, 0, n)
	for range n {
		conn, err := openClient(transport, address)
		for i := 0; err == nil && i < 2; i++ {
			_, err = conn.Write(heartbeat)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 3
		}
		conns = append(conns, conn)
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	for _, conn := range conns {
		_ = conn.Close()
	}
	return 0
}

func openClient(transport, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "tcp", address)
	if err == nil && (transport == TransportTLS || transport == TransportWebSocketSecure) {
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // own process
		conn, err = secure, secure.Handshake()
	}
	if err == nil && strings.HasPrefix(transport, "ws") {
		_, err = io.WriteString(conn, upgradeRequest+"\r\n")
		answer := make([]byte, 1024)
		for got := 0; err == nil && !bytes.Contains(answer[:got], []byte("\r\n\r\n")); {
			var m int
			m, err = conn.Read(answer[got:])
			got += m
		}
	}
	return conn, err
}
