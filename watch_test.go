package cereus_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// witness remembers what it hears of sessions.
type witness struct {
	mu    sync.Mutex // guards heard
	heard []string   // kind uid@frontend reason
}

func (w *witness) listen(_ context.Context, e session.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, e.Kind.String()+" "+e.UID+"@"+e.Frontend+" "+e.Reason)
}

func (w *witness) hears(t *testing.T, what string) {
	t.Helper()
	until(t, what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Contains(w.heard, what)
	})
}

func desk(t *testing.T) func(*cereus.App) {
	return func(app *cereus.App) {
		require.NoError(t, app.Register(loginDesk{}, component.WithName("desk")))
	}
}

func TestBackendsHearOfSessions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	one := w.start(server{kind: "gate", id: "one", front: true, game: desk(t)})
	early := dial(t, one)
	early.mustAsk("gate.desk.login", "early")
	var seen witness
	room := w.start(server{kind: "room", game: func(app *cereus.App) {
		require.NoError(t, app.WatchSessions("gate", seen.listen))
		require.Error(t, app.WatchSessions("gate", nil))
	}})
	require.ErrorIs(t, room.WatchSessions("gate", seen.listen), cereus.ErrStarted)
	seen.hears(t, "bound early@one ")
	two := w.start(server{kind: "gate", id: "two", front: true, game: desk(t)})
	sees(t, room, "gate", 2)
	late := dial(t, two)
	late.mustAsk("gate.desk.login", "late")
	seen.hears(t, "bound late@two ")

	require.NoError(t, early.Close())
	seen.hears(t, "closed early@one left")
	_, err := room.Kick(ctx, "gate", "cheating", "late")
	require.NoError(t, err)
	end := late.ends()
	require.Equal(t, client.ReasonKicked, end.Reason)
	require.Equal(t, "cheating", end.KickReason, "the reason crosses servers")
	require.Equal(t, protocol.CloseKicked, end.Code)
	seen.hears(t, "closed late@two kicked")

	dial(t, two).mustAsk("gate.desk.login", "last")
	seen.hears(t, "bound last@two ")
	stop(t, two)
	seen.hears(t, "closed last@two shutdown")
}

func stop(t *testing.T, app *cereus.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, app.Shutdown(ctx))
}

// TestOneSessionPerDevice: across two frontends, and what is addressed to the
// user reaches all devices.
func TestOneSessionPerDevice(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	devices := []change{func(c *config.Config) { c.Session.Policy = config.SessionPerDevice }}
	front := func(id string) *cereus.App {
		return w.start(server{kind: "gate", id: id, front: true, game: desk(t), config: devices})
	}
	one, two := front("one"), front("two")
	room := w.start(server{kind: "room"})
	for _, app := range []*cereus.App{one, two, room} {
		sees(t, app, "gate", 2)
	}
	on := func(app *cereus.App, device string) *player {
		p := dial(t, app, client.WithUser(map[string]any{"device": device}))
		p.mustAsk("gate.desk.login", "ann")
		return p
	}
	phone, tablet := on(one, "phone"), on(two, "tablet")
	pc := on(one, "pc")
	newPhone := on(two, "phone")
	require.Equal(t, client.ReasonKicked, phone.ends().Reason)
	counts(t, one, 1, "cereus_connections_closed_total", "reason", "replaced")
	for i, from := range []*cereus.App{room, one} {
		route := []string{"of.room", "of.one"}[i]
		failed, err := from.Push(ctx, cereus.Push{FrontendType: "gate", Route: route, Payload: []byte("x")}, "ann")
		require.NoError(t, err)
		require.Empty(t, failed)
		for _, p := range []*player{tablet, pc, newPhone} {
			p.receives(route + ":x")
		}
	}
	require.Equal(t, []string{"of.room:x", "of.one:x"}, pc.got(), "each once")
	_, err := one.Kick(ctx, "", "bye", "ann")
	require.NoError(t, err)
	for _, p := range []*player{tablet, pc, newPhone} {
		require.Equal(t, "bye", p.ends().KickReason)
	}
}

// TestReasonsReachWebSockets: the code and the text, also of a server that stops.
func TestReasonsReachWebSockets(t *testing.T) {
	t.Parallel()
	app := standalone(t, server{game: desk(t)}, cereus.WithWebSocket("127.0.0.1:0"))
	enter := func(uid string) *client.Client {
		c, err := client.Dial(t.Context(), "ws://"+app.Addrs()[1].String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = c.RequestRaw(t.Context(), "gate.desk.login", []byte(uid))
		require.NoError(t, err)
		return c
	}
	ends := func(c *client.Client) *client.CloseError {
		p := player{Client: c, t: t}
		return p.ends()
	}
	first := enter("ann")
	second := enter("ann")
	end := ends(first)
	require.Equal(t, protocol.CloseReplaced, end.Code)
	require.Equal(t, "replaced", end.StatusText)
	require.Empty(t, end.KickReason)
	require.Equal(t, protocol.AgainNever, end.Again())
	stop(t, app)
	end = ends(second)
	require.Equal(t, client.ReasonServer, end.Reason, "no kick: the client comes back")
	require.Equal(t, int(websocket.StatusGoingAway), end.Status)
	require.Equal(t, protocol.AgainAtOnce, end.Again())
}

// TestS24_AGateOffNATS: what happens on a frontend that is off NATS is heard when
// it is back, once and in order; who asked meanwhile was not told a guess; and
// another run of it follows the first.
func TestS24_AGateOffNATS(t *testing.T) {
	t.Parallel()
	g := newGates(t, 2)
	var seen witness
	room := g.start(server{kind: "room", game: func(app *cereus.App) {
		require.NoError(t, app.WatchSessions("gate", seen.listen))
	}})
	sees(t, room, "gate", 2)
	deliver := func(uids ...string) string {
		p := cereus.Push{FrontendType: "gate", Route: "onX", Payload: []byte("1")}
		told, err := room.Deliver(t.Context(), p, uids...)
		require.NoError(t, err)
		var all []string
		for _, uid := range uids {
			all = append(all, uid+" "+told[uid].String())
		}
		return strings.Join(all, ", ")
	}
	ann := g.login(0, "ann")
	g.login(1, "cid")
	seen.hears(t, "bound ann@gate-1 ")
	seen.hears(t, "bound cid@gate-2 ")
	require.Equal(t, "ann online, cid online, nobody offline", deliver("ann", "cid", "nobody"))
	g.offNATS(0)
	bob := g.login(0, "bob")
	require.NoError(t, ann.Close())
	require.Equal(t, "ann unknown, bob unknown, cid online, nobody unknown", deliver("ann", "bob", "cid", "nobody"))
	require.NoError(t, g.nats[0].Accept())
	seen.hears(t, "closed ann@gate-1 left")
	until(t, "everybody tells", func() bool {
		return deliver("ann", "bob", "cid", "nobody") == "ann offline, bob online, cid online, nobody offline"
	})
	stop(t, g.apps[0])
	bob.ends()
	g.start(server{kind: "gate", id: "gate-1", front: true, game: halls(t)})
	until(t, "she can log in", func() bool {
		for _, s := range room.Discovery().ServersByType("gate") {
			if s.ID == "gate-1" {
				return true
			}
		}
		return false
	})
	seen.hears(t, "closed bob@gate-1 shutdown")
	seen.mu.Lock()
	defer seen.mu.Unlock()
	require.Equal(t, []string{
		"bound ann@gate-1 ", "bound bob@gate-1 ", "closed ann@gate-1 left", "closed bob@gate-1 shutdown",
	}, slices.DeleteFunc(slices.Clone(seen.heard), func(s string) bool { return !strings.Contains(s, "@gate-1") }))
}
