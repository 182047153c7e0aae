package cereus_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// TestS08_InternalRoutes: what servers call is nothing to clients, on their
// frontend and behind it.
func TestS08_InternalRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	game := func(app *cereus.App) {
		require.NoError(t, app.Register(rated{}, component.WithName("svc")))
		require.NoError(t, app.RegisterRemote(&table{app: app}, component.WithName("table")))
	}
	w.start(server{kind: "room", game: game})
	front := w.start(server{kind: "gate", front: true, game: game})
	sees(t, front, "room", 1)
	p, victim := dial(t, front), dial(t, front)
	for _, route := range []string{
		"sys.kick", "gate.sys.kick", "room.sys.kick", "sys.bindsession", "gate.sys.bindsession", "room.sys.bindsession",
		"room.sys.pushsession", "table.who", "gate.table.who", "room.table.who", "room.table.*", "room.*.*", "*.svc.often", "room.>.x",
	} {
		_, err := p.ask(route, "{}")
		require.Contains(t, []errs.Code{errs.CodeNotFound, errs.CodeBadRequest, errs.CodeUnavailable}, errs.CodeOf(err), "%s: %v", route, err)
	}
	require.Equal(t, "x", p.mustAsk("room.svc.often", "x"))
	require.Equal(t, "x", victim.mustAsk("room.svc.often", "x"))
}

// members is a component whose callers become users.
type members struct{}

func (members) Routes(r *component.Routes) {
	component.HandleRaw(r, "join", func(ctx context.Context, uid []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		return uid, s.Bind(ctx, string(uid))
	})
}

// TestN09_OneBlockedClient: among many who get pushes. The others get all in
// order, who pushes never waits, and the blocked one is closed.
func TestN09_OneBlockedClient(t *testing.T) {
	t.Parallel()
	const others, rounds, burst = 20, 40, 50
	ctx := context.Background()
	w := newWorld(t)
	front := w.start(server{kind: "gate", front: true, game: func(app *cereus.App) {
		require.NoError(t, app.Register(members{}, component.WithName("members")))
	}})
	room := w.start(server{kind: "room"})
	sees(t, room, "gate", 1)
	var uids []string
	var heard [others]atomic.Int64
	for i := range others {
		p := dial(t, front)
		uid := fmt.Sprint("other-", i)
		p.OnPush(func(_ string, data []byte) {
			if string(data[:8]) == fmt.Sprintf("%08d", heard[i].Load()) { // else a hole: it stops counting
				heard[i].Add(1)
			}
		})
		p.mustAsk("members.join", uid)
		uids = append(uids, uid)
	}
	blocked := blockedClient(t, front, "blocked")
	uids = append(uids, "blocked")
	longest, lag := time.Duration(0), watchStalls(t)
	for round := range rounds {
		for i := range burst {
			data := append(fmt.Appendf(nil, "%08d", round*burst+i), make([]byte, 4096)...)
			from := front // half of them come from a backend
			if round%2 == 0 {
				from = room
			}
			began := time.Now()
			_, err := from.Push(ctx, cereus.Push{FrontendType: "gate", Route: "onX", Payload: data}, uids...)
			longest = max(longest, time.Since(began))
			require.NoError(t, err)
		}
		until(t, "the others have everything", func() bool {
			for i := range heard {
				if heard[i].Load() != int64(round*burst+burst) {
					return false
				}
			}
			return true
		})
	}
	require.Less(t, longest, 4*time.Second+lag.most(), "a push waited for the blocked client's write deadline")
	counts(t, front, 1, "cereus_connections_closed_total", "reason", "slow")
	require.Equal(t, 1, metric(t, front, "cereus_connections_closed_total", "reason", "slow"))
	require.Equal(t, others, front.Sessions())
	_ = blocked.Close()
}

// blockedClient joins and then reads nothing more.
func blockedClient(t *testing.T, app *cereus.App, uid string) net.Conn {
	t.Helper()
	nc := greeted(t, app.Addrs()[0].String())
	require.NoError(t, nc.(*net.TCPConn).SetReadBuffer(8<<10))
	m := protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: "members.join", Data: []byte(uid)}
	join, err := m.AppendPacketTo(nil, protocol.Encoding{})
	require.NoError(t, err)
	_, err = nc.Write(join)
	require.NoError(t, err)
	until(t, "it is bound", func() bool {
		told, err := app.Deliver(context.Background(), cereus.Push{Route: "onNothing", Payload: []byte("--------")}, uid)
		return err == nil && told[uid] == cereus.DeliveryOnline
	})
	return nc
}

// crowd is players who ask without a pause.
type crowd struct {
	t       *testing.T
	players []*client.Client
	all     sync.WaitGroup
	over    atomic.Bool
	asked   atomic.Int64
	failed  atomic.Int64
	first   atomic.Pointer[error]
}

// gather connects players to an address and has each ask for routes in turn.
func (c *crowd) gather(address string, n int, routes ...string) {
	c.t.Helper()
	for range n {
		p, err := client.Dial(context.Background(), address, client.WithTimeout(patience))
		require.NoError(c.t, err)
		c.players = append(c.players, p)
		c.all.Go(func() {
			for i := 0; !c.over.Load(); i++ {
				if _, err := p.RequestRaw(context.Background(), routes[i%len(routes)], []byte("x")); err != nil {
					c.failed.Add(1)
					c.first.CompareAndSwap(nil, &err)
					return
				}
				c.asked.Add(1)
			}
		})
	}
}

// goesOn waits until so many more requests were answered.
func (c *crowd) goesOn(n int64) {
	c.t.Helper()
	from := c.asked.Load()
	until(c.t, "requests are answered", func() bool { return c.asked.Load() >= from+n || c.failed.Load() > 0 })
}

func (c *crowd) unharmed() {
	c.t.Helper()
	if err := c.first.Load(); err != nil {
		require.NoError(c.t, *err, "%d of the players had a request fail, after %d answers", c.failed.Load(), c.asked.Load())
	}
}

func (c *crowd) leave() {
	c.over.Store(true)
	c.all.Wait()
	for _, p := range c.players {
		_ = p.Close()
	}
}

// TestS21_RollingRestart: two frontends and two backends in processes of their
// own, under load. The backends are restarted one by one without one failed
// request; a frontend that is told to stop leaves the cluster, answers what it
// was asked, and closes its connections without a kick.
func TestS21_RollingRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.start(server{kind: "watcher"})
	rooms := map[string]*child{"room-1": w.spawn("room", "room-1"), "room-2": w.spawn("room", "room-2")}
	doors := []*child{w.spawn("door", "door-1"), w.spawn("door", "door-2")}
	sees(t, watcher, "room", 2)
	sees(t, watcher, "door", 2)
	crowd := &crowd{t: t}
	for _, d := range doors {
		crowd.gather(d.addr, 5, "room.stuck.running", "stuck.running", "room.slow.answer")
	}
	crowd.goesOn(50)
	for id, room := range rooms {
		require.NoError(t, room.cmd.Process.Signal(syscall.SIGTERM))
		out, code := room.rest()
		require.Zero(t, code, out)
		crowd.unharmed()
		crowd.goesOn(50)
		w.spawn("room", id)
		sees(t, watcher, "room", 2)
		crowd.goesOn(50)
		crowd.unharmed()
	}
	crowd.leave()
	crowd.unharmed()

	// Twenty requests that one read takes, and then the signal.
	const inFlight = 20
	nc := greeted(t, doors[0].addr)
	var burst []byte
	for i := range inFlight {
		m := protocol.Message{Type: protocol.MessageRequest, ID: uint64(i + 1), Data: []byte("x")}
		m.Route = []string{"slow.answer", "room.slow.answer"}[i%2]
		var err error
		burst, err = m.AppendPacketTo(burst, protocol.Encoding{})
		require.NoError(t, err)
	}
	_, err := nc.Write(burst)
	require.NoError(t, err)
	r := bufio.NewReader(nc)
	answered := map[uint64]int{}
	for len(answered) == 0 {
		readAnswer(t, r, answered)
	}
	require.NoError(t, doors[0].cmd.Process.Signal(syscall.SIGTERM))
	sees(t, watcher, "door", 1)
	for readAnswer(t, r, answered) {
	}
	require.Len(t, answered, inFlight, "all that were in flight")
	out, code := doors[0].rest()
	require.Zero(t, code, out)
	_, err = net.Dial("tcp", doors[0].addr)
	require.Error(t, err)
	again, err := client.Dial(context.Background(), doors[1].addr)
	require.NoError(t, err)
	_ = again.Close()
}

// greeted is a raw connection after its handshake.
func greeted(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(2*patience)))
	hello, err := protocol.AppendPacket(nil, protocol.PacketHandshake, []byte("{}"))
	require.NoError(t, err)
	hello, err = protocol.AppendPacket(hello, protocol.PacketHandshakeAck, nil)
	require.NoError(t, err)
	_, err = nc.Write(hello)
	require.NoError(t, err)
	return nc
}

// readAnswer reads one packet and counts it if it is a good answer. It reports
// false at the end of the stream. A kick is none: a kicked client would not
// come back.
func readAnswer(t *testing.T, r io.Reader, answered map[uint64]int) bool {
	t.Helper()
	head := make([]byte, protocol.HeaderSize)
	if _, err := io.ReadFull(r, head); errors.Is(err, io.EOF) {
		return false
	} else {
		require.NoError(t, err)
	}
	kind, n, err := protocol.ParseHeader(head)
	require.NoError(t, err)
	require.NotEqual(t, protocol.PacketKick, kind)
	body := make([]byte, n)
	_, err = io.ReadFull(r, body)
	require.NoError(t, err)
	if kind == protocol.PacketData {
		m, err := protocol.DecodeMessage(body, protocol.Decoding{})
		require.NoError(t, err)
		require.False(t, m.Err, "%s", m.Data)
		answered[m.ID]++
	}
	return true
}
