package cereus_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// gates are the frontends of the tests of unique logins, each behind proxies of
// its own for etcd and NATS.
type gates struct {
	*world
	apps       []*cereus.App
	etcd, nats []*faultproxy.Proxy
	raw        *clientv3.Client
}

func newGates(t *testing.T, n int, changes ...change) *gates {
	t.Helper()
	g := &gates{world: newWorld(t)}
	g.raw = g.world.etcd()
	for i := range n {
		etcd, nats := faultproxy.New(t, hostOf(g.infra.EtcdEndpoints()[0])), faultproxy.New(t, hostOf(g.infra.NATSURLs()[0]))
		g.etcd, g.nats = append(g.etcd, etcd), append(g.nats, nats)
		g.apps = append(g.apps, g.start(server{kind: "gate", id: gateID(i), front: true, game: halls(t), config: append([]change{
			func(c *config.Config) {
				c.Cluster.SD.Etcd.Endpoints = []string{etcd.Addr()}
				c.Cluster.RPC.Client.NATS.Connect = config.URLs("nats://" + nats.Addr())
				c.Cluster.RPC.Server.NATS.Connect = config.URLs("nats://" + nats.Addr())
				c.Heartbeat.Interval = patience
			},
		}, changes...)}))
	}
	for _, app := range g.apps {
		sees(t, app, "gate", n)
	}
	return g
}

func gateID(i int) string { return "gate-" + string(rune('1'+i)) }

// hostOf is host:port of a URL, or of what is one already.
func hostOf(url string) string {
	_, host, found := strings.Cut(url, "://")
	if !found {
		return url
	}
	return host
}

func (g *gates) record(uid string) (clientv3.LeaseID, string) {
	g.t.Helper()
	resp, err := g.raw.Get(context.Background(), g.prefix+"x/bindings/gate/"+uid)
	require.NoError(g.t, err)
	if len(resp.Kvs) == 0 {
		return 0, ""
	}
	return clientv3.LeaseID(resp.Kvs[0].Lease), string(resp.Kvs[0].Value)
}

// lease is that of a gate's registration; 0 while it has none.
func (g *gates) lease(i int) clientv3.LeaseID {
	g.t.Helper()
	resp, err := g.raw.Get(context.Background(), g.prefix+"servers/gate/"+gateID(i))
	require.NoError(g.t, err)
	if len(resp.Kvs) == 0 {
		return 0
	}
	return clientv3.LeaseID(resp.Kvs[0].Lease)
}

func (g *gates) revoke(i int) {
	g.t.Helper()
	if lease := g.lease(i); lease != 0 {
		_, err := g.raw.Revoke(context.Background(), lease)
		require.NoError(g.t, err)
	}
}

// at waits until etcd says that the user is on a gate; "" is nowhere.
func (g *gates) at(uid, id string) {
	g.t.Helper()
	until(g.t, uid+" is at "+id, func() bool {
		at, err := g.apps[0].Locate(context.Background(), uid)
		return err == nil && at[uid].ServerID == id
	})
}

// login is a client that logged in.
func (g *gates) login(i int, uid string) *player {
	g.t.Helper()
	p := dial(g.t, g.apps[i])
	p.mustAsk("hall.login", uid)
	return p
}

// holds: the player is still connected, and its request is answered.
func (g *gates) holds(p *player) {
	g.t.Helper()
	require.Equal(g.t, "x", p.mustAsk("hall.echo", "x"))
}

// offNATS cuts a gate off from NATS until Accept.
func (g *gates) offNATS(i int) {
	g.t.Helper()
	require.NoError(g.t, g.nats[i].Refuse())
	g.nats[i].Cut(faultproxy.RST)
	until(g.t, "nats is away", func() bool { return metric(g.t, g.apps[i], "cereus_nats_connected") == 0 })
}

func TestLocate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	g := newGates(t, 2)
	room := g.start(server{kind: "room"})
	sees(t, room, "gate", 2)
	first, odd := g.login(0, "a"), g.login(1, "b/c.d")
	online, err := room.Online(ctx, "nobody", "b/c.d", "a")
	require.NoError(t, err)
	require.Equal(t, []string{"b/c.d", "a"}, online)
	at, err := room.Locate(ctx, "a", "nobody")
	require.NoError(t, err)
	require.Equal(t, map[string]cereus.Location{"a": {ServerType: "gate", ServerID: "gate-1", Session: 1}}, at)

	second := g.login(1, "a")
	first.ends()
	g.at("a", "gate-2")
	g.holds(second)
	require.NoError(t, odd.Close())
	g.at("b/c.d", "")
	require.NoError(t, second.Close())
	g.at("a", "")

	alone := standalone(t, server{})
	_, err = alone.Locate(ctx, "a")
	require.Error(t, err)
}

// TestE17_TheNewerBindingStays: an old connection that closes late takes nothing
// away, and live bindings are put again after the lease was lost.
func TestE17_TheNewerBindingStays(t *testing.T) {
	t.Parallel()
	g := newGates(t, 2)
	old := g.login(0, "u")
	second := g.login(1, "u")
	old.ends()
	_, before := g.record("u")
	require.Contains(t, before, `"gate-2"`)
	_ = old.Close()
	until(t, "the old session is gone", func() bool { return g.apps[0].Sessions() == 0 })
	_, now := g.record("u")
	require.Equal(t, before, now)

	lease, _ := g.record("u")
	g.revoke(1)
	until(t, "the binding stands on the new lease", func() bool {
		now, value := g.record("u")
		return now != 0 && now != lease && strings.Contains(value, `"gate-2"`)
	})
	g.holds(second)

	// A login elsewhere while the lease is lost is later, though nobody says so.
	g.nats[1].Pause(faultproxy.All)
	g.revoke(1)
	third := g.login(0, "u")
	g.nats[1].Resume()
	second.ends()
	g.at("u", "gate-1")
	g.holds(third)
}

// TestN11_LostAnnouncement: the double login ends soon after the reconnect of
// the frontend that did not hear of it.
func TestN11_LostAnnouncement(t *testing.T) {
	t.Parallel()
	g, lag := newGates(t, 2), watchStalls(t)
	soon := func(old *player) {
		t.Helper()
		require.NoError(t, g.nats[0].Accept())
		until(t, "nats is back", func() bool { return metric(t, g.apps[0], "cereus_nats_connected") == 2 })
		back := time.Now()
		old.ends()
		require.Less(t, time.Since(back), time.Second+lag.most())
	}
	first := g.login(0, "u")
	g.offNATS(0)
	second := g.login(1, "u")
	g.holds(first)
	soon(first)
	g.holds(second)
	g.at("u", "gate-2")

	// The other way round: who logs in cannot be announced.
	g.offNATS(0)
	third := g.login(0, "u")
	g.holds(second)
	soon(second)
	g.holds(third)
	g.at("u", "gate-1")
}

// TestBind_WithoutEtcd: the announcement alone has to do, and the record follows.
func TestBind_WithoutEtcd(t *testing.T) {
	t.Parallel()
	g := newGates(t, 2)
	first := g.login(0, "u")
	require.NoError(t, g.etcd[1].Refuse())
	g.etcd[1].Cut(faultproxy.RST)
	until(t, "etcd is away", func() bool { return !g.apps[1].Discovery().IsConnected() })
	second := g.login(1, "u")
	first.ends()
	g.holds(second)
	g.at("u", "")
	require.NoError(t, g.etcd[1].Accept())
	g.at("u", "gate-2")
	third := g.login(0, "u")
	second.ends()
	g.holds(third)
}

// TestBind_Fence: without etcd nobody logs in, and nothing is left of the attempt.
func TestBind_Fence(t *testing.T) {
	t.Parallel()
	g := newGates(t, 1, func(c *config.Config) { c.Cluster.SD.Etcd.OnLoss = "fence" })
	g.etcd[0].Pause(faultproxy.All)
	p := dial(t, g.apps[0])
	_, err := p.ask("hall.login", "u")
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err))
	g.etcd[0].Resume()
	until(t, "it can be bound again", func() bool { _, err := p.ask("hall.login", "u"); return err == nil })
	g.at("u", "gate-1")
}

// TestPushesWhereUsersHaveSeveralSessions: a frontend pushes to its own users
// itself, once, and so also while NATS is away.
func TestPushesWhereUsersHaveSeveralSessions(t *testing.T) {
	t.Parallel()
	g := newGates(t, 2, func(c *config.Config) { c.Session.Policy = config.SessionsSeveral })
	here, there := g.login(0, "u"), g.login(1, "u")
	g.login(1, "v")
	push := func(from int, route string, uids ...string) ([]string, error) {
		return g.apps[from].Push(context.Background(), cereus.Push{Route: route, Payload: []byte("x")}, uids...)
	}
	for from, route := range []string{"of.gate-1", "of.gate-2"} { // what gate 1 hears of its own comes before the second
		failed, err := push(from, route, "u")
		require.NoError(t, err)
		require.Empty(t, failed)
		here.receives(route + ":x")
		there.receives(route + ":x")
	}
	require.Equal(t, []string{"of.gate-1:x", "of.gate-2:x"}, here.got(), "each once")

	g.offNATS(0)
	failed, err := push(0, "off.nats", "u", "v")
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.Equal(t, []string{"v"}, failed)
	here.receives("off.nats:x")
}

// TestS15_OldConnectionsNeverStandInTheWay: broken, idle and blocked ones end for
// the new login, here and elsewhere.
func TestS15_OldConnectionsNeverStandInTheWay(t *testing.T) {
	t.Parallel()
	g := newGates(t, 2)
	for name, spoil := range map[string]func(p *faultproxy.Proxy){
		"idle":      func(*faultproxy.Proxy) {},
		"blocked":   func(p *faultproxy.Proxy) { p.Pause(faultproxy.All) },
		"half-dead": func(p *faultproxy.Proxy) { p.HalfClose(faultproxy.Both) },
		"broken":    func(p *faultproxy.Proxy) { p.Cut(faultproxy.RST) },
	} {
		for where := range 2 {
			uid := name + gateID(where)
			proxy := faultproxy.New(t, g.apps[0].Addrs()[0].String())
			loginThrough(t, proxy, uid)
			if name == "blocked" {
				fill(t, g.apps[0], uid)
			}
			spoil(proxy)
			began := time.Now()
			p := g.login(where, uid)
			until(t, "the old session ended", func() bool { return g.apps[0].Sessions() == 1-where })
			t.Logf("%s, new login on gate %d: %v", name, where+1, time.Since(began).Round(time.Millisecond))
			g.at(uid, gateID(where))
			g.holds(p)
			require.NoError(t, p.Close())
			until(t, "all are gone", func() bool { return g.apps[0].Sessions()+g.apps[1].Sessions() == 0 })
		}
	}
}

func loginThrough(t *testing.T, proxy *faultproxy.Proxy, uid string) {
	t.Helper()
	conn, err := net.Dial("tcp", proxy.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	r := &raw{conn, t}
	m := protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: "hall.login", Data: []byte(uid)}
	login, err := m.AppendPacketTo(nil, protocol.Encoding{})
	require.NoError(t, err)
	r.send(packet(protocol.PacketHandshake, "{}"), packet(protocol.PacketHandshakeAck, ""), login)
	answered(t, r, 1)
}

// fill writes to a client that does not read until something waits.
func fill(t *testing.T, app *cereus.App, uid string) {
	t.Helper()
	for range 200 {
		_, err := app.Push(context.Background(), cereus.Push{Route: "big", Payload: make([]byte, 4<<10)}, uid)
		require.NoError(t, err)
	}
}

// TestS16_BindThatFails: what a bind that failed, or came after the close, had
// done is undone.
func TestS16_BindThatFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	refused := errors.New("not today")
	leaver := &leaver{}
	app := w.start(server{kind: "gate", id: "gate-1", front: true, game: func(app *cereus.App) {
		halls(t)(app)
		require.NoError(t, app.Register(leaver, component.WithName("leaver")))
		require.NoError(t, app.OnBound(func(_ context.Context, _ *session.Session, uid string) error {
			if uid == "bad" {
				return refused
			}
			return nil
		}))
	}})
	g := &gates{world: w, apps: []*cereus.App{app}}
	p := dial(t, app)
	_, err := p.ask("hall.login", "bad")
	require.ErrorContains(t, err, refused.Error())
	g.at("bad", "")
	failed, err := app.Push(ctx, cereus.Push{Route: "x", Payload: []byte("x")}, "bad")
	require.NoError(t, err)
	require.Empty(t, failed, "it may be on another frontend, for all this one knows")
	require.Empty(t, p.got())
	p.mustAsk("hall.login", "good")
	g.at("good", "gate-1")

	for range 20 {
		leaving := dial(t, app)
		_, _ = leaving.ask("leaver.bind", "gone") // there is no answer
		leaving.ends()
	}
	g.at("gone", "")
	until(t, "one is left", func() bool { return app.Sessions() == 1 })
	require.Error(t, leaver.late(ctx))
}

// leaver binds sessions that close at the same time, and afterwards.
type leaver struct{ last *session.Session }

func (l *leaver) Routes(r *component.Routes) { component.HandleRaw(r, "bind", l.bind) }

func (l *leaver) bind(ctx context.Context, uid []byte) ([]byte, error) {
	s, _ := session.FromContext(ctx)
	l.last = s
	closed := make(chan struct{})
	go func() { defer close(closed); s.Close("left") }()
	err := s.Bind(ctx, string(uid))
	<-closed
	return uid, err
}

func (l *leaver) late(ctx context.Context) error { return l.last.Bind(ctx, "gone") }

// TestPlainBindings: Pitaya's binding keys are there for those who read them.
func TestPlainBindings(t *testing.T) {
	t.Parallel()
	g := newGates(t, 2, func(c *config.Config) {
		m := &c.Modules.BindingStorage
		m.Enabled, m.Etcd.Endpoints, m.Etcd.Prefix = true, c.Cluster.SD.Etcd.Endpoints, c.Cluster.SD.Etcd.Prefix
	})
	saysOf := func(uid, want string) func() bool {
		return func() bool {
			resp, err := g.raw.Get(context.Background(), g.prefix+"bindings/gate/"+uid)
			require.NoError(t, err)
			if want == "" {
				return len(resp.Kvs) == 0
			}
			return len(resp.Kvs) == 1 && string(resp.Kvs[0].Value) == want && resp.Kvs[0].Lease != 0
		}
	}
	says := func(want string) func() bool { return saysOf("u", want) }
	first := g.login(0, "u")
	until(t, "first", says("gate-1"))
	second := g.login(1, "u")
	first.ends()
	until(t, "the old one takes nothing away", says("gate-2"))
	resp, err := g.raw.Get(context.Background(), g.prefix+"bindings/gate/u")
	require.NoError(t, err)
	_, err = g.raw.Revoke(context.Background(), clientv3.LeaseID(resp.Kvs[0].Lease))
	require.NoError(t, err)
	third := g.login(1, "v") // its key cannot be written: all are again
	until(t, "written again", says("gate-2"))
	g.holds(third)
	require.NoError(t, second.Close())
	until(t, "gone", says(""))

	// Who comes and goes while etcd is away.
	require.NoError(t, g.etcd[1].Refuse())
	g.etcd[1].Cut(faultproxy.RST)
	fourth := g.login(1, "w")
	require.NoError(t, third.Close())
	until(t, "it left", func() bool { return g.apps[1].Sessions() == 1 })
	require.NoError(t, g.etcd[1].Accept())
	until(t, "the key of who left is gone", saysOf("v", ""))
	until(t, "who came has one", saysOf("w", "gate-2"))
	g.holds(fourth)
}
