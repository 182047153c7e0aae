package cereus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// halls is the game of most tests of faults.
func halls(t testing.TB) func(*cereus.App) {
	return func(app *cereus.App) {
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
	}
}

// raw is a connection that speaks for itself.
type raw struct {
	net.Conn
	t testing.TB
}

func dialRaw(t testing.TB, app *cereus.App) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", app.Addrs()[0].String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &raw{conn, t}
}

func packet(kind protocol.PacketType, body string) []byte {
	b, err := protocol.AppendPacket(nil, kind, []byte(body))
	if err != nil {
		panic(err)
	}
	return b
}

// request is a data packet with a request for hall.echo.
func request(id uint64) []byte {
	m := protocol.Message{Type: protocol.MessageRequest, ID: id, Route: "hall.echo", Data: []byte("hi")}
	b, err := m.AppendPacketTo(nil, protocol.Encoding{})
	if err != nil {
		panic(err)
	}
	return b
}

func (r *raw) send(packets ...[]byte) {
	for _, p := range packets {
		_, _ = r.Write(p) // of a connection that may be closed by now
	}
}

// rest reads until the server closes and returns the packets.
func (r *raw) rest() []protocol.Packet {
	r.t.Helper()
	var all []protocol.Packet
	for {
		p, err := protocol.ReadPacket(r, protocol.MaxPacketBody)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			require.FailNow(r.t, "the server did not close the connection")
		}
		if err != nil {
			return all
		}
		all = append(all, p)
	}
}

// TestS01_SilentConnections: all of them are closed at the handshake deadline,
// and cost next to nothing until then. It does not run beside other tests, whose
// memory would count.
func TestS01_SilentConnections(t *testing.T) {
	const n = 2000
	app := standalone(t, server{game: halls(t), config: []change{func(c *config.Config) {
		c.Conn.HandshakeTimeout = 5 * time.Second
	}}})
	healthy := dial(t, app)
	before := inUse()
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial("tcp", app.Addrs()[0].String())
		require.NoError(t, err)
		defer conn.Close()
		conns[i] = conn
	}
	counts(t, app, n+1, "cereus_connections_opened_total")
	each := (inUse() - before) / n
	t.Logf("%d bytes for both ends of a silent connection", each)
	require.Less(t, each, int64(24<<10))
	require.Equal(t, "x", healthy.mustAsk("hall.echo", "x"))
	counts(t, app, n, "cereus_connections_closed_total", "reason", "handshake timeout")
	require.NoError(t, conns[0].SetReadDeadline(time.Now().Add(patience)))
	_, err := conns[0].Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "x", healthy.mustAsk("hall.echo", "x"))
	require.Equal(t, 1, app.Sessions())
}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestS01_SlowHandshake: neither bytes nor heartbeats move the deadline.
func TestS01_SlowHandshake(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(i int) []byte{
		"byte by byte": func(i int) []byte { return packet(protocol.PacketHandshake, strings.Repeat(" ", 1000)+"{}")[i : i+1] },
		"heartbeats":   func(int) []byte { return packet(protocol.PacketHeartbeat, "") },
		"no ack": func(i int) []byte {
			if i == 0 {
				return packet(protocol.PacketHandshake, "{}")
			}
			return packet(protocol.PacketHeartbeat, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := standalone(t, server{game: halls(t), config: []change{func(c *config.Config) {
				c.Conn.HandshakeTimeout = 300 * time.Millisecond
			}}})
			conn := dialRaw(t, app)
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				conn.rest()
			}()
			every := time.NewTicker(20 * time.Millisecond)
			defer every.Stop()
			for i := 0; ; i++ {
				select {
				case <-closed:
					counts(t, app, 1, "cereus_connections_closed_total")
					require.Less(t, i, 1000)
					require.Zero(t, app.Sessions())
					return
				case <-every.C:
					conn.send(next(i % 1000))
				}
			}
		})
	}
}

// TestS04_PacketsOutOfOrder: what the state of a connection does not allow ends it.
func TestS04_PacketsOutOfOrder(t *testing.T) {
	t.Parallel()
	handshake, ack := packet(protocol.PacketHandshake, "{}"), packet(protocol.PacketHandshakeAck, "")
	app := standalone(t, server{game: halls(t)})
	lenient := standalone(t, server{game: halls(t)}, cereus.WithLenientHandshake())
	healthy := dial(t, app)
	for name, c := range map[string]struct {
		packets [][]byte
		answers int // packets that may come before the end
		lenient bool
	}{
		"data at first":                   {packets: [][]byte{request(1)}},
		"data before the ack":             {packets: [][]byte{handshake, request(1)}, answers: 1},
		"ack at first":                    {packets: [][]byte{ack}, lenient: true},
		"second handshake before the ack": {packets: [][]byte{handshake, handshake}, answers: 1, lenient: true},
		"second handshake while working":  {packets: [][]byte{handshake, ack, handshake}, answers: 1, lenient: true},
		"unknown packet type":             {packets: [][]byte{handshake, ack, {6, 0, 0, 0}}, answers: 1},
		"packet type 0":                   {packets: [][]byte{{0, 0, 0, 0}}},
		"empty message":                   {packets: [][]byte{handshake, ack, packet(protocol.PacketData, "")}, answers: 1},
		"half a message":                  {packets: [][]byte{handshake, ack, packet(protocol.PacketData, "\x00\x01")}, answers: 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := metric(t, app, "cereus_protocol_errors_total")
			conn := dialRaw(t, app)
			conn.send(c.packets...)
			require.LessOrEqual(t, len(conn.rest()), c.answers) // what ends it may overtake the answer
			counts(t, app, before+1, "cereus_protocol_errors_total")
			require.Equal(t, "x", healthy.mustAsk("hall.echo", "x"))
			if !c.lenient {
				return
			}
			conn = dialRaw(t, lenient)
			conn.send(c.packets...)
			conn.send(ack, request(7))
			answered(t, conn, 7)
		})
	}
	require.Equal(t, 1, app.Sessions())
}

// answered reads until the response to a request.
func answered(t *testing.T, conn *raw, id uint64) {
	t.Helper()
	for {
		p, err := protocol.ReadPacket(conn, protocol.MaxPacketBody)
		require.NoError(t, err)
		if p.Type != protocol.PacketData {
			continue
		}
		m, err := protocol.DecodeMessage(p.Body, protocol.Decoding{})
		require.NoError(t, err)
		if m.Type == protocol.MessageResponse {
			require.Equal(t, id, m.ID)
			return
		}
	}
}

// TestS07_HostileHandshakes: refused with 400 and closed, or accepted.
func TestS07_HostileHandshakes(t *testing.T) {
	t.Parallel()
	app := standalone(t, server{game: halls(t), config: []change{func(c *config.Config) {
		c.Conn.Limits.Handshake = 1 << 20
	}}}, cereus.WithHandshakeValidator("version", func(_ context.Context, h *protocol.HandshakeRequest) error {
		switch h.Sys.Version {
		case "old":
			return errors.New("too old")
		case "panic":
			panic("validator")
		}
		return nil
	}))
	healthy := dial(t, app)
	for name, c := range map[string]struct {
		body string
		code string
	}{
		"empty":             {"", `"code":400`},
		"no json":           {"hello", `"code":400`},
		"half":              {`{"sys":`, `"code":400`},
		"two values":        {`{}{}`, `"code":400`},
		"array":             {"[]", `"code":400`},
		"number":            {"7", `"code":400`},
		"100k nesting":      {`{"user":{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}}", `"code":400`},
		"unclosed nesting":  {strings.Repeat("[", 500_000), `"code":400`},
		"wrong type":        {`{"sys":{"clientVersion":1}}`, `"code":400`},
		"sys is a string":   {`{"sys":"x"}`, `"code":400`},
		"user is an array":  {`{"user":[]}`, `"code":400`},
		"user is a string":  {`{"user":"x"}`, `"code":400`},
		"zlib":              {"\x78\x9c\x03\x00\x00\x00\x00\x01", `"code":400`},
		"validator refuses": {`{"sys":{"clientVersion":"old"}}`, `"code":400`},
		"validator panics":  {`{"sys":{"clientVersion":"panic"}}`, `"code":400`},
		"null":              {"null", `"code":200`},
		"nothing in it":     {"{}", `"code":200`},
		"unknown keys":      {`{"x":[1,2,{"y":null}],"sys":{"z":1}}`, `"code":200`},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialRaw(t, app)
			conn.send(packet(protocol.PacketHandshake, c.body))
			p, err := protocol.ReadPacket(conn, protocol.MaxPacketBody)
			require.NoError(t, err)
			require.Equal(t, protocol.PacketHandshake, p.Type)
			require.Contains(t, string(p.Body), c.code)
			if c.code == `"code":400` {
				require.Empty(t, conn.rest())
				return
			}
			conn.send(packet(protocol.PacketHandshakeAck, ""), request(3))
			answered(t, conn, 3)
		})
	}
	counts(t, app, 1, "cereus_panics_total", "where", "validator")
	counts(t, app, 15, "cereus_connections_closed_total", "reason", "handshake")
	t.Run("above the limit", func(t *testing.T) {
		conn := dialRaw(t, app)
		conn.send(packet(protocol.PacketHandshake, strings.Repeat("x", 1<<20+1))[:100])
		require.Empty(t, conn.rest())
	})
	t.Run("duplicate keys", func(t *testing.T) {
		conn := dialRaw(t, app)
		conn.send(packet(protocol.PacketHandshake, `{"sys":{"platform":"a"},"sys":{"platform":"b"},"user":{"k":1,"k":2}}`))
		p, err := protocol.ReadPacket(conn, protocol.MaxPacketBody)
		require.NoError(t, err)
		require.Equal(t, protocol.PacketHandshake, p.Type)
		require.Regexp(t, `"code":(200|400)`, string(p.Body))
	})
	require.Equal(t, "x", healthy.mustAsk("hall.echo", "x"))
}

// TestS12_BlockedWrite: a client that stops reading is closed at the write
// deadline, and no byte follows a torn packet.
func TestS12_BlockedWrite(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	app := standalone(t, server{game: halls(t), config: []change{func(c *config.Config) {
		c.Buffer.Agent.ConnTimeout = 300 * time.Millisecond
		c.Buffer.Agent.Bytes = 256 << 20
		c.Buffer.Agent.Messages = 1 << 20
	}}})
	healthy := dial(t, app)
	healthy.mustAsk("hall.login", "healthy")
	conn := dialRaw(t, app)
	require.NoError(t, conn.Conn.(*net.TCPConn).SetReadBuffer(4<<10))
	bind := protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: "hall.login", Data: []byte("slow")}
	login, err := bind.AppendPacketTo(nil, protocol.Encoding{})
	require.NoError(t, err)
	conn.send(packet(protocol.PacketHandshake, "{}"), packet(protocol.PacketHandshakeAck, ""), login)
	answered(t, conn, 1)

	payload := bytes.Repeat([]byte("0123456789abcdef"), 4<<10) // 64 KiB
	sent := 0
	for range 800 { // more than the kernel takes
		failed, err := app.Push(ctx, cereus.Push{Route: "big", Payload: binary.BigEndian.AppendUint32(bytes.Clone(payload), uint32(sent))}, "slow")
		require.NoError(t, err)
		if len(failed) > 0 {
			break
		}
		sent++
	}
	require.Equal(t, "x", healthy.mustAsk("hall.echo", "x"))
	counts(t, app, 1, "cereus_connections_closed_total", "reason", "slow")
	until(t, "the slow session is gone", func() bool { return app.Sessions() == 1 })

	all, err := io.ReadAll(conn) // a reset after what arrived is an end as well
	var reset *net.OpError
	require.True(t, err == nil || errors.As(err, &reset), "%v", err)
	n := 0
	for len(all) >= protocol.HeaderSize {
		kind, length, err := protocol.ParseHeader(all)
		require.NoError(t, err)
		if len(all) < protocol.HeaderSize+length {
			break // torn, and nothing after it
		}
		require.Equal(t, protocol.PacketData, kind)
		m, err := protocol.DecodeMessage(all[protocol.HeaderSize:protocol.HeaderSize+length], protocol.Decoding{})
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(m.Data, payload))
		require.Equal(t, uint32(n), binary.BigEndian.Uint32(m.Data[len(payload):]))
		all, n = all[protocol.HeaderSize+length:], n+1
	}
	t.Logf("%d of %d pushes arrived, and %d bytes of the next", n, sent, len(all))
	require.Less(t, n, sent)
	require.Equal(t, "x", healthy.mustAsk("hall.echo", "x"))
}

// lobby gives the test the sessions of its players.
type lobby struct {
	sessions chan *session.Session
	closed   sync.Map // session id -> *atomic.Int64
}

func (l *lobby) Routes(r *component.Routes) {
	component.HandleRaw(r, "enter", func(ctx context.Context, _ []byte) ([]byte, error) {
		s, ok := session.FromContext(ctx)
		if !ok {
			return nil, errNoSession
		}
		n := new(atomic.Int64)
		l.closed.Store(s.ID(), n)
		s.OnClose(func(s *session.Session) {
			n.Add(1)
			s.Close("again, from the hook")
			_ = s.Push(context.Background(), "late", []byte("push"))
			_ = s.Bind(context.Background(), "late")
			_ = s.Kick(context.Background(), "late")
		})
		s.OnClose(func(*session.Session) { panic("hook") })
		s.OnClose(func(*session.Session) { n.Add(1000) })
		l.sessions <- s
		return []byte("in"), nil
	})
}

// TestS13_CloseAnywhere: ten goroutines close, push to, bind and kick one
// session, fifty times, and at last while the server stops.
func TestS13_CloseAnywhere(t *testing.T) {
	t.Parallel()
	l := &lobby{sessions: make(chan *session.Session, 200)}
	app := newWorld(t).start(server{kind: "gate", front: true, game: func(app *cereus.App) {
		require.NoError(t, app.Register(l, component.WithName("lobby")))
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
	}})
	healthy := dial(t, app)
	for round := range 50 {
		p := dial(t, app)
		p.mustAsk("lobby.enter", "")
		abuse(app, <-l.sessions, fmt.Sprint("uid-", round)).Wait()
		p.ends()
	}
	require.Equal(t, "x", healthy.mustAsk("hall.echo", "x"))
	until(t, "only one is left", func() bool { return app.Sessions() == 1 })
	counts(t, app, 50, "cereus_connections_closed_total")
	require.Equal(t, 1, metric(t, app, "pitaya_acceptor_connected_clients"))

	var abuses []*sync.WaitGroup
	stopped := make(chan error)
	for i := range 50 {
		dial(t, app).mustAsk("lobby.enter", "")
		abuses = append(abuses, abuse(app, <-l.sessions, fmt.Sprint("last-", i)))
		if i == 25 {
			go func() { stopped <- app.Shutdown(context.Background()) }()
			break
		}
	}
	require.NoError(t, <-stopped)
	for _, a := range abuses {
		a.Wait()
	}
	sessions := 0
	l.closed.Range(func(id, n any) bool {
		sessions++
		require.Equal(t, int64(1001), n.(*atomic.Int64).Load(), "hooks of session %d", id)
		return true
	})
	require.Equal(t, 76, sessions)
	require.Zero(t, app.Sessions())
	require.Equal(t, 77, metric(t, app, "cereus_connections_opened_total"))
	require.Equal(t, 77, metric(t, app, "cereus_connections_closed_total"))
	require.Zero(t, metric(t, app, "pitaya_acceptor_connected_clients"))
}

func abuse(app *cereus.App, s *session.Session, uid string) *sync.WaitGroup {
	ctx := context.Background()
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			switch i % 5 {
			case 0:
				s.Close("test")
				s.Close("test")
			case 1:
				_ = s.Push(ctx, "route", []byte("data"))
				_, _ = app.Push(ctx, cereus.Push{Route: "route", Payload: []byte("data")}, uid)
			case 2:
				_ = s.Bind(ctx, uid)
				_ = s.Unbind(ctx)
			case 3:
				_ = s.Kick(ctx, "test")
			case 4:
				_ = s.Set("k", i)
				_, _ = app.Kick(ctx, "", "test", uid)
				s.OnClose(func(s *session.Session) { s.Close("hook") })
			}
		})
	}
	return &all
}

// TestN01_KilledBackend: known at once, and what was not delivered goes elsewhere.
func TestN01_KilledBackend(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	killed := w.spawn("room", "killed")
	front := w.start(server{kind: "connector", front: true})
	other := w.start(server{kind: "room", id: "other", game: func(app *cereus.App) {
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
		require.NoError(t, app.RegisterRemote(&table{app: app}, component.WithName("table")))
	}})
	sees(t, front, "room", 2)
	p := dial(t, front)
	var who Greeting
	require.NoError(t, front.RPC(ctx, "room.table.who", &who, &Greeting{}, cereus.To("killed")))

	require.NoError(t, killed.cmd.Process.Kill())
	_, _ = killed.rest()
	until(t, "NATS has noticed", func() bool {
		err := front.RPC(ctx, "room.table.who", &who, &Greeting{}, cereus.To("killed"), cereus.WithTimeout(time.Second))
		return errs.CodeOf(err) == errs.CodeUnavailable
	})
	sees(t, front, "room", 1)
	suspect, ok := front.Discovery().Server("killed")
	require.True(t, ok)
	require.Equal(t, cluster.StateSuspect, suspect.State, "etcd knows nothing yet, calls do")
	best := patience
	for range 20 {
		began := time.Now()
		require.Equal(t, errs.CodeUnavailable, errs.CodeOf(front.RPC(ctx, "room.table.who", &who, &Greeting{}, cereus.To("killed"))))
		best = min(best, time.Since(began))
	}
	require.Less(t, best, 50*time.Millisecond)
	for range 200 {
		require.True(t, strings.HasPrefix(p.mustAsk("room.hall.whoami", ""), "other/"))
		require.NoError(t, front.RPC(ctx, "room.table.who", &who, &Greeting{}))
		require.Equal(t, "other", who.From)
	}
	sees(t, front, "room", 1)
	end(t, other)
	sees(t, front, "room", 0)
	for range 20 {
		_, err := p.ask("room.hall.whoami", "")
		require.ErrorIs(t, err, errs.ErrNoServer)
		require.ErrorIs(t, front.RPC(ctx, "room.table.who", nil, nil), errs.ErrNoServer)
	}
}
