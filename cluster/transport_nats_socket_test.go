package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

// socketWorld is a transport that sends on one socket, without a NATS server.
type socketWorld struct {
	*NATSTransport
	socket *natsSocket
	peer   net.Conn
	pool   bufferPool
}

func newSocketWorld(t *testing.T) *socketWorld {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetWriteBuffer(4<<10))
	w := &socketWorld{}
	w.peer, err = listener.Accept()
	require.NoError(t, err)
	w.NATSTransport, err = NewNATSTransport(NATSParams{URL: listener.Addr().String()})
	require.NoError(t, err)
	link := &natsLink{t: w.NATSTransport}
	w.socket = newNATSSocket(conn, link)
	link.socket.Store(w.socket)
	w.socket.plain = true
	require.True(t, w.socket.gather())
	w.state.Store(&natsState{
		transportStatus: transportStatus{epoch: 1, connected: true, maxPayload: 1 << 20},
		link:            link, socket: w.socket, direct: true, broke: make(chan struct{}),
	})
	w.writer = lifecycle.NewGroup(context.Background())
	w.writer.Go("writer", w.write)
	t.Cleanup(func() {
		w.queue.finish()
		require.NoError(t, w.writer.Stop(context.Background()))
		_ = w.peer.Close()
		_ = conn.Close()
	})
	return w
}

func (w *socketWorld) send(subject, text string, lone bool) error {
	body := &buffer{b: []byte(text), pool: &w.pool}
	return w.publish(outgoing{subject: subject, body: body, lone: lone})
}

// Messages arrive whole and in the order of their sender, whoever writes them:
// callers, the writer, and nats.go between them, to a peer that reads slowly.
func TestSocketKeepsMessagesWholeAndInOrder(t *testing.T) {
	t.Parallel()
	const senders, each = 4, 3000
	w := newSocketWorld(t)
	var work sync.WaitGroup
	for sender := range senders {
		work.Go(func() {
			for i := range each {
				text := fmt.Sprintf("%d %s", i, strings.Repeat("x", i%700))
				if err := w.send(strconv.Itoa(sender), text, i%3 > 0); err != nil {
					t.Error(err)
					return
				}
				if i%10 == 0 {
					if _, err := w.socket.Write([]byte("PING\r\n")); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	next, pings := make(map[string]int), 0
	in := bufio.NewReaderSize(w.peer, 1<<10)
	for got := 0; got < senders*each; {
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		if line == "PING\r\n" {
			pings++
			continue
		}
		var subject string
		var size, number int
		_, err = fmt.Sscanf(line, "PUB %s %d\r\n", &subject, &size)
		require.NoError(t, err, "%q", line)
		body := make([]byte, size+2)
		_, err = io.ReadFull(in, body)
		require.NoError(t, err)
		_, err = fmt.Sscanf(string(body), "%d ", &number)
		require.NoError(t, err)
		require.Equal(t, next[subject], number)
		next[subject]++
		got++
	}
	work.Wait()
	require.Positive(t, pings)
}

// A peer that does not read breaks the socket, and until then nobody waits.
func TestSocketThatStalls(t *testing.T) {
	t.Parallel()
	w := newSocketWorld(t)
	text := strings.Repeat("x", 16<<10)
	var longest time.Duration
	require.Eventually(t, func() bool {
		start := time.Now()
		err := w.send("a", text, true)
		longest = max(longest, time.Since(start))
		return IsUndelivered(err)
	}, rpcPatience, 100*time.Microsecond)
	t.Logf("the longest publication took %s", longest)
	require.Less(t, longest, natsStall/2)
	require.False(t, w.status().connected)
}

// N08: while a NATS server hangs, nobody who publishes waits for it.
func TestN08_NobodyWaitsForAServerThatHangs(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, hostOf(t, startNATS(t).NATSURL()))
	transport := natsTransport(t, "nats://"+proxy.Addr(), "front", nil)
	proxy.Pause(faultproxy.Existing)
	var pool bufferPool
	var work sync.WaitGroup
	start := time.Now()
	longest := make([]time.Duration, 4)
	for i := range longest {
		work.Go(func() {
			tick := time.NewTicker(200 * time.Microsecond)
			defer tick.Stop()
			for transport.status().connected && time.Since(start) < rpcPatience {
				began := time.Now()
				_ = transport.publish(outgoing{
					subject: "a.b", body: &buffer{b: make([]byte, 16<<10), pool: &pool}, lone: i%2 == 0,
				})
				longest[i] = max(longest[i], time.Since(began))
				<-tick.C
			}
		})
	}
	work.Wait()
	t.Logf("noticed after %s; the longest publications took %s", time.Since(start), longest)
	require.Less(t, time.Since(start), 6*time.Second)
	for _, took := range longest {
		require.Less(t, took, natsStall/2)
	}
}

func TestTurnsOfTheQueue(t *testing.T) {
	t.Parallel()
	q := natsQueue{wake: make(chan struct{}, 1)}
	require.False(t, q.begin(), "the writer has not said that it is idle")
	batch, _ := q.take()
	require.Nil(t, batch)
	require.True(t, q.begin())
	require.False(t, q.begin(), "it is another caller's turn")
	require.True(t, q.do(func() {}))
	require.Empty(t, q.wake)
	batch, _ = q.take()
	require.Nil(t, batch, "it is not the writer's turn")
	q.end()
	<-q.wake
	require.False(t, q.begin(), "something is queued")
	batch, _ = q.take()
	require.Len(t, batch, 1)
	require.False(t, q.begin(), "it is the writer's turn")
	q.take()
	q.finish()
	require.False(t, q.begin(), "nothing is accepted any more")
}
