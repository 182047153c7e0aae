package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// joined makes a client that has shaken hands and reads nothing from now on.
func (r *rig) joined() (*net.TCPConn, *session.Session) {
	r.t.Helper()
	nc := r.dialRaw()
	all := append(encoded(r.t, protocol.PacketHandshake, hello), encoded(r.t, protocol.PacketHandshakeAck, "")...)
	_, err := nc.Write(all)
	require.NoError(r.t, err)
	p, err := readPacket(nc)
	require.NoError(r.t, err)
	require.Equal(r.t, protocol.PacketHandshake, p.kind)
	return nc, r.session()
}

// numbered is a payload of n bytes that begins with number.
func numbered(number uint32, n int) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 0, n), number)[:n]
}

func pushed(t testing.TB, data []byte) []byte {
	t.Helper()
	return encodedMessage(t, protocol.Message{Type: protocol.MessagePush, Route: "p", Data: data})
}

// overfill pushes to s, whose client does not read, until that is refused, and
// returns what was accepted as it should be on the wire.
func overfill(t testing.TB, s *session.Session, size int) []byte {
	t.Helper()
	var stream []byte
	for number := uint32(0); ; number++ {
		data := numbered(number, size)
		if err := s.Push(context.Background(), "p", data); err != nil {
			return stream
		}
		stream = append(stream, pushed(t, data)...)
		require.Less(t, len(stream), 64<<20, "never refused")
	}
}

// readRest is everything up to the end of the stream, by FIN or by reset.
func readRest(t testing.TB, nc net.Conn) []byte {
	t.Helper()
	b, err := io.ReadAll(nc)
	if ne, ok := err.(net.Error); ok {
		require.False(t, ne.Timeout(), "not closed")
	}
	return b
}

// wholeFrames checks that nothing follows a torn frame: got is how stream began.
func wholeFrames(t testing.TB, stream, got []byte) {
	t.Helper()
	require.True(t, bytes.HasPrefix(stream, got), "%d bytes came that were not sent like this", len(got))
}

func TestS11_SlowReaderIsClosedAtTheCap(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*HostParams){
		"messages": func(p *HostParams) { p.QueueMessages = 16 },
		"bytes":    func(p *HostParams) { p.QueueBytes = 128 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), change, func(p *HostParams) { p.WriteTimeout = time.Hour })
			nc, s := r.joined()
			begin := time.Now()
			stream := overfill(t, s, 16<<10)
			require.Equal(t, protocol.ReasonSlow, closed(t, s))
			require.Less(t, time.Since(begin), patience)
			require.Zero(t, r.host.Pool.Count())
			wholeFrames(t, stream, readRest(t, nc))
		})
	}
}

func TestS11_NothingIsLostBelowTheCap(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
		p.QueueMessages, p.QueueBytes, p.WriteTimeout = 1<<20, 64<<20, time.Hour
	})
	nc, s := r.joined()
	const count, size = 1500, 8 << 10 // more than the kernel takes
	for number := range uint32(count) {
		require.NoError(t, s.Push(t.Context(), "p", numbered(number, size)))
	}
	in := bufio.NewReader(nc)
	for number := range uint32(count) {
		p, err := readPacket(in)
		require.NoError(t, err)
		m, err := protocol.DecodeMessage(p.body, protocol.Decoding{})
		require.NoError(t, err)
		require.Equal(t, numbered(number, size), m.Data)
	}
	require.NoError(t, s.Context().Err())
}

// A message larger than what may wait does not cost its reader the connection,
// and what follows it is bounded as always.
func TestALargeMessageLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	const limit, large = 64 << 10, 8 << 20 // more than the kernel takes
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.QueueBytes, p.WriteTimeout = limit, time.Hour })
	nc, s := r.joined()
	in := bufio.NewReader(nc)
	for range 2 { // the second time shows that the first is forgotten
		require.NoError(t, s.Push(t.Context(), "p", numbered(0, large)))
		require.NoError(t, s.Push(t.Context(), "p", numbered(1, limit/2)))
		for number, size := range []int{large, limit / 2} {
			p, err := readPacket(in)
			require.NoError(t, err)
			m, err := protocol.DecodeMessage(p.body, protocol.Decoding{})
			require.NoError(t, err)
			require.Equal(t, numbered(uint32(number), size), m.Data)
		}
	}
	require.NoError(t, s.Push(t.Context(), "p", numbered(0, large)))
	overfill(t, s, limit/4)
	require.Equal(t, protocol.ReasonSlow, closed(t, s))
}

// How large a message may be does not depend on how much of the last one the
// client has read, and what comes behind both finds the room that there is.
func TestALargeMessageBehindOthers(t *testing.T) {
	t.Parallel()
	const limit = 8 << 20
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.QueueBytes, p.WriteTimeout = limit, time.Hour })
	nc, s := r.joined()
	q := &s.Entity().(*Agent).out
	state := func() (waits, large int) {
		q.mu.Lock()
		defer q.mu.Unlock()
		_, waits = q.pendingLocked()
		return waits, q.large + q.ahead
	}
	sizes := []int{limit - 1<<20, limit + 1<<20, 1 << 20, limit + 1<<20}
	in := bufio.NewReader(nc)
	for range 2 { // the second time shows that the first is forgotten
		require.NoError(t, s.Push(t.Context(), "p", numbered(0, sizes[0])))
		require.Eventually(t, func() bool { waits, _ := state(); return waits < sizes[0] }, patience, tick)
		for number, size := range sizes[1:] {
			require.NoError(t, s.Push(t.Context(), "p", numbered(uint32(number+1), size)))
		}
		for number, size := range sizes {
			p, err := readPacket(in)
			require.NoError(t, err)
			m, err := protocol.DecodeMessage(p.body, protocol.Decoding{})
			require.NoError(t, err)
			require.Equal(t, numbered(uint32(number), size), m.Data)
		}
		require.Eventually(t, func() bool { waits, large := state(); return waits+large == 0 }, patience, tick)
	}
	require.NoError(t, s.Push(t.Context(), "p", numbered(0, sizes[1])))
	require.NoError(t, s.Push(t.Context(), "p", numbered(1, sizes[1])), "one more does count")
	require.Error(t, s.Push(t.Context(), "p", numbered(2, 1)))
	require.Equal(t, protocol.ReasonSlow, closed(t, s))
}

// Responses, pushes and shared packets of many goroutines stay whole, and in
// the order of each of them.
func TestConcurrentWritersKeepFramesWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.QueueMessages, p.QueueBytes = 1<<20, 64<<20 })
	nc, s := r.joined()
	a := s.Entity().(*Agent)
	const writers, each = 8, 500
	var all sync.WaitGroup
	for w := range uint32(writers) {
		all.Go(func() {
			for n := range uint32(each) {
				data := numbered(n, 16+int(n%300))
				switch route := string(rune('a' + w)); w % 3 {
				case 0:
					_ = a.Push(context.Background(), route, data)
				case 1:
					_ = a.WritePacket(dispatch.Packet{Bytes: encodedMessage(t, protocol.Message{Type: protocol.MessagePush, Route: route, Data: data})})
				default:
					a.Respond(uint64(w), data, nil, n%2 == 0)
				}
			}
		})
	}
	in, next := bufio.NewReader(nc), make(map[string]uint32)
	for range writers * each {
		p, err := readPacket(in)
		require.NoError(t, err)
		m, err := protocol.DecodeMessage(p.body, protocol.Decoding{})
		require.NoError(t, err)
		if m.Type == protocol.MessageResponse {
			m.Route = string(rune('a' + m.ID))
		}
		n := next[m.Route]
		require.Equal(t, numbered(n, 16+int(n%300)), m.Data, "of %s", m.Route)
		next[m.Route]++
	}
	all.Wait()
}

func TestS12_ABlockedWriteEndsTheConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
		p.QueueMessages, p.QueueBytes, p.WriteTimeout = 1<<20, 64<<20, 300*time.Millisecond
	})
	nc, s := r.joined()
	var stream []byte
	for number := uint32(0); len(stream) < 12<<20; number++ {
		data := numbered(number, 64<<10)
		if s.Push(t.Context(), "p", data) != nil {
			break
		}
		stream = append(stream, pushed(t, data)...)
	}
	require.Equal(t, protocol.ReasonSlow, closed(t, s))
	require.Error(t, s.Push(t.Context(), "p", []byte("after")))
	got := readRest(t, nc)
	require.Less(t, len(got), len(stream), "nothing was torn: the test shows nothing")
	wholeFrames(t, stream, got)
}

// ask sends requests for answers of so many bytes, more together than the kernel takes,
// and waits until the frontend serves no more of them.
func (r *rig) ask(nc net.Conn, a *Agent, count, size int) {
	r.t.Helper()
	var all []byte
	for id := range uint64(count) {
		m := protocol.Message{Type: protocol.MessageRequest, ID: id + 1, Route: "svc.sized", Data: []byte(strconv.Itoa(size))}
		all = append(all, encodedMessage(r.t, m)...)
	}
	_, err := nc.Write(all)
	require.NoError(r.t, err)
	require.Eventually(r.t, func() bool {
		a.out.mu.Lock()
		defer a.out.mu.Unlock()
		return a.out.awaited
	}, patience, tick)
}

// A client that asks for more than may wait is served as it reads, not closed.
func TestAnswersWaitForTheirReader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ messages, count, size int }{
		"bytes":    {256, 300, 60 << 10},
		"messages": {10, 2000, 8 << 10},
		"large":    {256, 12, 1500 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.QueueMessages, p.WriteTimeout = c.messages, time.Hour })
			nc, s := r.joined()
			r.ask(nc, s.Entity().(*Agent), c.count, c.size)
			in := bufio.NewReader(nc)
			for id := range uint64(c.count) {
				p, err := readPacket(in)
				require.NoError(t, err)
				m, err := protocol.DecodeMessage(p.body, protocol.Decoding{})
				require.NoError(t, err)
				require.Equal(t, id+1, m.ID)
				require.Len(t, m.Data, c.size)
			}
			require.NoError(t, s.Context().Err())
		})
	}
}

// One that takes nothing is closed by the write deadline, whatever waits for it.
func TestS12_AnswersDoNotWaitForEver(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.WriteTimeout = 3 * time.Second })
	nc, s := r.joined()
	r.ask(nc, s.Entity().(*Agent), 300, 60<<10)
	require.Equal(t, protocol.ReasonSlow, closed(t, s))
	require.Eventually(t, func() bool { return r.acc.(*acceptor.TCP).Connections() == 0 }, patience, tick)
}

func TestKickComesBehindWhatIsQueued(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.QueueMessages, p.QueueBytes = 1<<20, 64<<20 })
	for _, reason := range []string{"", `spam "again"`} {
		nc, s := r.joined()
		var want []byte
		for number := range uint32(300) { // more than the kernel takes at once
			data := numbered(number, 32<<10)
			require.NoError(t, s.Push(t.Context(), "p", data))
			want = append(want, pushed(t, data)...)
		}
		require.NoError(t, s.Kick(t.Context(), reason))
		require.Equal(t, protocol.ReasonKicked, closed(t, s))
		got, err := io.ReadAll(nc)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(got, want))
		body := ""
		if reason != "" {
			body = `{"reason":"spam \"again\"","code":4200}`
		}
		require.Equal(t, encoded(t, protocol.PacketKick, body), got[len(want):])
	}
}

// A client without the packet would come back: who was replaced would then take
// the place of the new login.
func TestKickOfAClientWhoseQueueIsFull(t *testing.T) {
	t.Parallel()
	for name, kick := range map[string]func(*Agent, *session.Session){
		"kicked":   func(_ *Agent, s *session.Session) { _ = s.Kick(context.Background(), "banned") },
		"replaced": func(a *Agent, _ *session.Session) { a.Replace() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 20
			r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.QueueMessages, p.WriteTimeout = most, time.Hour })
			nc, s := r.joined()
			a := s.Entity().(*Agent)
			r.stuck(a)
			for range most - 1 {
				require.NoError(t, s.Push(t.Context(), "p", []byte("x")))
			}
			kick(a, s)
			require.Equal(t, name, closed(t, s))
			in := bufio.NewReader(nc)
			for range most {
				p, err := readPacket(in)
				require.NoError(t, err)
				require.Equal(t, protocol.PacketData, p.kind)
			}
			p, err := readPacket(in)
			require.NoError(t, err)
			require.Equal(t, protocol.PacketKick, p.kind)
		})
	}
}

func TestKickFromAHandler(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.handshake()
	c.request(1, "svc.kickme", "")
	require.Equal(t, protocol.PacketKick, c.next().kind)
	require.Equal(t, io.EOF, c.end())
}

func TestS15_KickOfABlockedClientSucceedsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
		p.QueueMessages, p.QueueBytes, p.WriteTimeout = 1<<20, 64<<20, 4*time.Second
	})
	nc, s := r.joined()
	var stream []byte
	for number := range uint32(160) {
		data := numbered(number, 64<<10)
		require.NoError(t, s.Push(t.Context(), "p", data))
		stream = append(stream, pushed(t, data)...)
	}
	begin := time.Now()
	require.NoError(t, s.Kick(t.Context(), ""))
	require.Less(t, time.Since(begin), 2*time.Second, "the kick waited for the client")
	_, found := r.host.Pool.ByID(s.ID())
	require.False(t, found)
	// The connection goes within the write deadline, too.
	require.Eventually(t, func() bool { return r.acc.(*acceptor.TCP).Connections() == 0 }, patience, tick)
	require.Less(t, time.Since(begin), 15*time.Second)
	got := readRest(t, nc)
	wholeFrames(t, append(stream, encoded(t, protocol.PacketKick, "")...), got)
}

func TestS13_CloseInEveryWayAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	for range 50 {
		nc, s := r.joined()
		a := s.Entity().(*Agent)
		var hooks, all sync.WaitGroup
		hooks.Add(1)
		s.OnClose(func(s *session.Session) {
			s.Close("again")
			_ = s.Kick(context.Background(), "again")
			hooks.Done() // panics the second time
		})
		for _, end := range []func(){
			func() { s.Close(protocol.ReasonKicked) },
			func() { _ = s.Kick(context.Background(), "x") },
			a.Replace,
			func() { a.abort(protocol.ReasonTimeout) },
			func() { _ = s.Push(context.Background(), "p", []byte("x")) },
			func() { _ = nc.CloseWrite() },
			func() { a.closeAfterWrites(protocol.ReasonShutdown) },
			func() { _ = nc.Close() },
		} {
			all.Go(end)
		}
		all.Wait()
		hooks.Wait()
		require.Eventually(t, func() bool {
			return r.host.Pool.Count() == 0 && r.acc.(*acceptor.TCP).Connections() == 0
		}, patience, tick)
	}
}

func TestAResetCancelsTheHandler(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	nc, s := r.joined()
	_, err := nc.Write(encodedMessage(t, protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: "svc.block"}))
	require.NoError(t, err)
	require.NoError(t, nc.SetLinger(0))
	require.NoError(t, nc.Close())
	require.Equal(t, protocol.ReasonBroken, closed(t, s))
}
