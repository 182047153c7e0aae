package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/logger"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/serializer"
	"github.com/cereus-game/cereus/session"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

const (
	hello = `{"sys":{"platform":"test"},"user":{"name":"ann"}}`
	tick  = time.Millisecond
)

// rig is a frontend with one acceptor and a small game.
type rig struct {
	t    testing.TB
	host *Host
	d    *dispatch.Dispatcher
	acc  acceptor.Acceptor
	game *game
}

// newRig serves acc until the test ends. change adapts the host's parameters.
func newRig(t testing.TB, acc acceptor.Acceptor, change ...func(*HostParams)) *rig {
	t.Helper()
	self := &cluster.Server{ID: "front-1", Type: "front", Frontend: true}
	g := &game{gate: make(chan struct{})}
	table := component.NewTable()
	require.NoError(t, table.Register(g, component.WithName("svc")))
	pool := session.NewPool(session.PoolParams{})
	log := logger.Discard()
	d := dispatch.New(dispatch.Params{
		Self: self, Router: router.New(), Table: table, Pool: pool, Serializer: serializer.JSON(), Log: log,
		Limits: dispatch.Limits{Mailbox: 8, SessionWindow: 4, ServerWindow: 8, Remotes: 8, Timeout: patience},
	})
	p := HostParams{
		Self: self, Dispatcher: d, Pool: pool, Serializer: serializer.JSON(), Log: log,
		Heartbeat: 30 * time.Second, HandshakeTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		QueueMessages: 256, QueueBytes: 1 << 20,
	}
	for _, c := range change {
		c(&p)
	}
	r := &rig{t: t, host: NewHost(p), d: d, acc: acc, game: g}
	r.start()
	return r
}

func (r *rig) start() {
	ctx := context.Background()
	require.NoError(r.t, r.d.Init(ctx))
	require.NoError(r.t, r.host.Init(ctx))
	require.NoError(r.t, r.acc.Listen(ctx))
	served := make(chan error, 1)
	go func() { served <- r.acc.Serve(r.host.Serve) }()
	r.t.Cleanup(func() {
		r.game.open()
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		require.NoError(r.t, r.acc.Close())
		r.host.Drain(ctx)
		require.NoError(r.t, r.acc.Wait(ctx))
		require.NoError(r.t, <-served)
		require.NoError(r.t, r.host.Shutdown(ctx))
		require.NoError(r.t, r.d.Shutdown(ctx))
		require.Zero(r.t, r.host.Pool.Count())
	})
}

// session is the session of the only client, or waits for it.
func (r *rig) session() *session.Session {
	r.t.Helper()
	var found *session.Session
	require.Eventually(r.t, func() bool {
		r.host.Pool.Each(func(s *session.Session) bool { found = s; return false })
		return found != nil
	}, patience, tick)
	return found
}

// closed waits until s is closed and returns the reason.
func closed(t testing.TB, s *session.Session) string {
	t.Helper()
	select {
	case <-s.Context().Done():
		return errs.From(context.Cause(s.Context())).Metadata["reason"]
	case <-time.After(patience):
		require.FailNow(t, "the session is not closed")
		return ""
	}
}

// game is what the clients of a rig can call.
type game struct {
	blocked atomic.Int64  // calls of svc.block that began
	gate    chan struct{} // svc.block waits for it
	opened  sync.Once
	mu      sync.Mutex // guards notes
	notes   []string
}

func (g *game) Routes(r *component.Routes) {
	component.HandleRaw(r, "echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	component.HandleRaw(r, "block", func(ctx context.Context, b []byte) ([]byte, error) {
		g.blocked.Add(1)
		select {
		case <-g.gate:
			return b, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	echo := func(_ context.Context, b []byte) ([]byte, error) { return b, nil }
	component.HandleRaw(r, "rated", echo, component.WithRate(2, time.Hour))
	component.HandleRaw(r, "huge", func(context.Context, []byte) ([]byte, error) {
		return make([]byte, protocol.MaxPacketBody+1), nil
	})
	component.HandleRaw(r, "sized", func(_ context.Context, size []byte) ([]byte, error) {
		n, err := strconv.Atoi(string(size))
		return make([]byte, n), err
	})
	component.HandleRaw(r, "kickme", func(ctx context.Context, _ []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		return nil, s.Kick(ctx, "enough")
	})
	component.HandleRaw(r, "moveme", func(ctx context.Context, where []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		err := s.Push(ctx, "onMove", where)
		s.Close(protocol.ReasonMoved)
		return nil, err
	})
	component.NotifyRaw(r, "note", func(_ context.Context, b []byte) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.notes = append(g.notes, string(b))
	})
}

func (g *game) open() { g.opened.Do(func() { close(g.gate) }) }

func (g *game) heard() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.notes...)
}

// packet is one that a client received.
type packet struct {
	kind protocol.PacketType
	body []byte
	at   time.Time
}

// client reads all the time; what came waits in packets, and ended says how the
// stream ended.
type client struct {
	t       testing.TB
	nc      net.Conn
	packets chan packet
	ended   chan error
}

func newClient(t testing.TB, nc net.Conn) *client {
	c := &client{t: t, nc: nc, packets: make(chan packet, 1<<14), ended: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read()
	}()
	t.Cleanup(func() {
		_ = nc.Close()
		<-done
	})
	return c
}

func (c *client) read() {
	defer close(c.packets)
	r := bufio.NewReader(c.nc)
	for {
		p, err := readPacket(r)
		if err != nil {
			c.ended <- err
			return
		}
		c.packets <- p
	}
}

func readPacket(r io.Reader) (packet, error) {
	head := make([]byte, protocol.HeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return packet{}, err
	}
	kind, n, err := protocol.ParseHeader(head)
	if err != nil {
		return packet{}, err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(r, body)
	return packet{kind, body, time.Now()}, err
}

func (r *rig) dialMemory() *client {
	r.t.Helper()
	nc, err := r.acc.(*acceptor.Memory).Dial(context.Background())
	require.NoError(r.t, err)
	return newClient(r.t, nc)
}

func (r *rig) dialTCP() *client {
	r.t.Helper()
	return newClient(r.t, r.dialRaw())
}

// dialRaw connects a client that reads nothing by itself and whose socket holds
// some 256 KiB: with less the kernel's timers make a reader crawl.
func (r *rig) dialRaw() *net.TCPConn {
	r.t.Helper()
	nc, err := net.DialTimeout("tcp", r.acc.Addr().String(), patience)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = nc.Close() })
	tcp := nc.(*net.TCPConn)
	require.NoError(r.t, tcp.SetReadBuffer(256<<10))
	require.NoError(r.t, tcp.SetDeadline(time.Now().Add(2*patience)))
	return tcp
}

func encoded(t testing.TB, kind protocol.PacketType, body string) []byte {
	t.Helper()
	b, err := protocol.AppendPacket(nil, kind, []byte(body))
	require.NoError(t, err)
	return b
}

func encodedMessage(t testing.TB, m protocol.Message) []byte {
	t.Helper()
	b, err := m.AppendPacketTo(nil, protocol.Encoding{})
	require.NoError(t, err)
	return b
}

func (c *client) send(kind protocol.PacketType, body string) {
	c.t.Helper()
	_, err := c.nc.Write(encoded(c.t, kind, body))
	require.NoError(c.t, err)
}

func (c *client) message(m protocol.Message) {
	c.t.Helper()
	_, err := c.nc.Write(encodedMessage(c.t, m))
	require.NoError(c.t, err)
}

func (c *client) request(id uint64, route, data string) {
	c.t.Helper()
	c.message(protocol.Message{Type: protocol.MessageRequest, ID: id, Route: route, Data: []byte(data)})
}

// next is the next packet that is not a heartbeat.
func (c *client) next() packet {
	c.t.Helper()
	limit := time.After(10 * time.Minute) // of a bubble's time, or more than a test has
	for {
		select {
		case p, ok := <-c.packets:
			require.True(c.t, ok, "the connection ended")
			if p.kind != protocol.PacketHeartbeat {
				return p
			}
		case <-limit:
			require.FailNow(c.t, "no packet came")
		}
	}
}

// answer is the next response or push.
func (c *client) answer() protocol.Message {
	c.t.Helper()
	p := c.next()
	require.Equal(c.t, protocol.PacketData, p.kind)
	m, err := protocol.DecodeMessage(p.body, protocol.Decoding{MaxInflated: 1 << 20, MaxRatio: 100})
	require.NoError(c.t, err)
	return m
}

// failure is the code of the next response, which is an error.
func (c *client) failure(id uint64) string {
	c.t.Helper()
	m := c.answer()
	require.Equal(c.t, id, m.ID)
	require.True(c.t, m.Err, "not an error: %s", m.Data)
	var body struct{ Code string }
	require.NoError(c.t, json.Unmarshal(m.Data, &body))
	return body.Code
}

func (c *client) handshake() {
	c.t.Helper()
	c.send(protocol.PacketHandshake, hello)
	p := c.next()
	require.Equal(c.t, protocol.PacketHandshake, p.kind)
	require.True(c.t, strings.HasPrefix(string(p.body), `{"code":200`), "%s", p.body)
	c.send(protocol.PacketHandshakeAck, "")
}

// works shows that the connection is served.
func (c *client) works(id uint64) {
	c.t.Helper()
	c.request(id, "svc.echo", "ping")
	m := c.answer()
	require.Equal(c.t, id, m.ID)
	require.Equal(c.t, "ping", string(m.Data))
}

// end waits until the server closed the connection and returns how, after what
// came before.
func (c *client) end() error {
	c.t.Helper()
	for range c.packets { //nolint:revive // what came before the end is dropped
	}
	return <-c.ended
}
