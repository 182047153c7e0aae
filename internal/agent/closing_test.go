package agent

import (
	"bufio"
	"context"
	"io"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/protocol"
)

// A client that closes a WebSocket is answered with a close frame, behind all
// that waits for it.
func TestCloseFramesAreAnswered(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"))
	for range 10 {
		ws := r.dialWebSocket(ctx)
		require.NoError(t, ws.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketHandshake, hello)))
		_, _, err := ws.Read(ctx)
		require.NoError(t, err)
		s := r.session()
		for range 80 {
			require.NoError(t, s.Push(ctx, "p", make([]byte, 10_000)))
		}
		require.NoError(t, ws.Close(4321, "bye"))
		require.Equal(t, protocol.ReasonLeft, closed(t, s))
		require.Eventually(t, func() bool { return r.host.Pool.Count() == 0 }, patience, tick)
	}
}

// Who is told to go elsewhere is told where: Close does not pass what was pushed
// before, and does not wait for it.
func TestCloseComesBehindWhatIsQueued(t *testing.T) {
	t.Parallel()
	for _, word := range []string{protocol.ReasonMoved, protocol.ReasonLeft, protocol.ReasonShutdown, "the match is over"} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.WriteTimeout = time.Hour })
			nc, s := r.joined()
			a := s.Entity().(*Agent)
			r.stuck(a)
			require.Equal(t, dispatch.Queued, a.WritePacket(prepared(t, dispatch.Latest, "score", "7")))
			require.NoError(t, s.Push(t.Context(), "onMove", []byte("10.0.0.2:3250")))
			s.Close(word)
			require.Equal(t, word, closed(t, s))
			a.Respond(1, []byte("late"), nil, false)
			require.Error(t, s.Push(t.Context(), "onMove", []byte("late")))
			in := bufio.NewReader(nc)
			require.Equal(t, []string{"onMove=10.0.0.2:3250", "score=7"}, rest(t, in, 2))
			_, err := in.ReadByte()
			require.Equal(t, io.EOF, err)
		})
	}
}

func TestCloseFromAHandler(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.handshake()
	c.request(1, "svc.moveme", "10.0.0.2:3250")
	require.Equal(t, "10.0.0.2:3250", string(c.answer().Data))
	require.Equal(t, io.EOF, c.end())
}

// A WebSocket client finds the code behind what was pushed.
func TestCloseFramesComeBehindWhatIsQueued(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"))
	ws := r.dialWebSocket(ctx)
	require.NoError(t, ws.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketHandshake, hello)))
	_, _, err := ws.Read(ctx)
	require.NoError(t, err)
	s := r.session()
	require.NoError(t, s.Push(ctx, "p", []byte("10.0.0.2:3250")))
	s.Close(protocol.ReasonMoved)
	_, got, err := ws.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, pushed(t, []byte("10.0.0.2:3250")), got)
	_, _, err = ws.Read(ctx)
	require.Equal(t, websocket.StatusCode(protocol.CloseMoved), websocket.CloseStatus(err), "%v", err)
}

// A client that takes nothing has the write deadline, and no longer.
func TestCloseOfABlockedClientEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.WriteTimeout = time.Second })
	_, s := r.joined()
	r.stuck(s.Entity().(*Agent))
	s.Close(protocol.ReasonMoved)
	require.Zero(t, r.host.Pool.Count(), "the session waits for its client")
	require.Eventually(t, func() bool { return r.acc.(*acceptor.TCP).Connections() == 0 }, patience, tick)
}

// hook is what a log does with its entries.
type hook func()

func (hook) Levels() []logrus.Level     { return []logrus.Level{logrus.DebugLevel} }
func (h hook) Fire(*logrus.Entry) error { h(); return nil }

func (h hook) log(p *HostParams) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.DebugLevel)
	log.AddHook(h)
	p.Log = log
}

// slowLog takes its time over the end of a connection, as any step of it may.
func slowLog(p *HostParams) { hook(func() { <-time.After(50 * time.Millisecond) }).log(p) }

func TestALogThatPanicsLeavesNoConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), hook(func() { panic("the log's") }).log)
	c := r.dialTCP()
	c.handshake()
	r.session().Close("gone")
	require.Error(t, c.end())
	require.Eventually(t, func() bool { return r.acc.(*acceptor.TCP).Connections() == 0 }, patience, tick)
}

// The handler that runs hears of the close, and its answer comes too late.
func TestNothingIsSentAfterTheClose(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), slowLog)
	c := r.dialTCP()
	c.handshake()
	s := r.session()
	c.request(1, "svc.block", "")
	require.Eventually(t, func() bool { return r.game.blocked.Load() == 1 }, patience, tick)
	require.NoError(t, s.Push(t.Context(), "onMove", []byte("10.0.0.2:3250")))
	s.Close(protocol.ReasonMoved)
	require.Equal(t, "10.0.0.2:3250", string(c.answer().Data))
	_, more := <-c.packets
	require.False(t, more)
}

// A reader that ends while somebody closes the session leaves the last words to
// him: here it waits for room in the inbox, which is closed before the connection.
func TestAReaderDoesNotPassTheClose(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"), slowLog)
	c := r.upgrade(t)
	s := r.session()
	for id := range uint64(10) { // one is served, eight wait, and the reader holds the last
		c.send(whole(encodedMessage(t, protocol.Message{Type: protocol.MessageRequest, ID: id + 1, Route: "svc.block"})))
	}
	require.Eventually(t, func() bool { return len(s.InFlight()) == 9 && s.Entity().(*Agent).waiting.Load() }, patience, tick)
	require.NoError(t, s.Push(t.Context(), "p", []byte("10.0.0.2:3250")))
	s.Close(protocol.ReasonMoved)
	_, got := c.next()
	require.Equal(t, pushed(t, []byte("10.0.0.2:3250")), got)
	code, reason := c.closed()
	require.EqualValues(t, protocol.CloseMoved, code)
	require.Equal(t, protocol.ReasonMoved, reason)
}
