package conformance_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/wirevectors"
	"github.com/cereus-game/cereus/protocol"
)

// TestVectorsLiveClient replays every recorded conversation of real clients
// with a Pitaya cluster against cereus servers with equivalent handlers. Flags,
// ids and inflated bodies are compared; "sid" is left out (see sid), and zlib
// bytes are, since encoders differ (wire.md 3.5).
func TestVectorsLiveClient(t *testing.T) {
	t.Parallel()
	played := []struct {
		prefix string
		play   func(t *testing.T, done *tally)
	}{
		{"cli33", playCli33},
		{"clidict", playCliDict},
		{"clipb", playCliPB},
		{"clitwo", playCliTwo},
		{"cliinj", playCliInj},
		{"cligrpc", playCliGRPC},
		{"cliuid", playCliUID},
	}
	done, known := &tally{}, make(map[string]bool)
	for _, p := range played {
		known[p.prefix] = true
	}
	t.Run("replay", func(t *testing.T) {
		for _, p := range played {
			t.Run(p.prefix, func(t *testing.T) {
				t.Parallel()
				done.started.Store(p.prefix, true)
				p.play(t, done)
			})
		}
	})
	if t.Failed() {
		return
	}
	for _, v := range wirevectors.Load(t, "live-client") {
		prefix, _, _ := strings.Cut(v.Name, "_")
		require.True(t, known[prefix], "nobody plays %s", v.Name)
		if _, ok := done.started.Load(prefix); !ok {
			continue // left out with -run
		}
		_, ok := done.lines.Load(v.Name)
		require.True(t, ok, "%s was neither replayed nor is it an exception", v.Name)
	}
}

// tally is the recordings that were begun and the vectors that were replayed or
// met as exceptions.
type tally struct{ started, lines sync.Map }

func everyConnection(string) bool { return true }

func only(conns ...string) func(string) bool {
	return func(conn string) bool { return slices.Contains(conns, conn) }
}

func playCli33(t *testing.T, done *tally) {
	w := newWorld(t)
	heard := w.sniff()
	front, _ := w.pair("back-1", nil)
	lenient := w.start(serverParams{Type: "lenient", ID: "lenient-1", Frontend: true, Options: []cereus.Option{cereus.WithLenientHandshake()}})
	c := &script{world: w, address: func(string) string { return front.addr }}
	c.steps = recording(t, "cli33", cli33Missing(w)...)
	c.exceptions = map[string]exception{"cli33_114": {
		reason: "the time of a call shrinks over its hops: the one in the middle may say it first, of its own call",
		want: func(s seen) bool {
			return isAnswer(50, `"metadata":{"peer.id":"back-1","route":"room.svc.rpc","server":"front-1","timeout":"1.5s"}`)(s) ||
				isAnswer(50, `{"code":"PIT-408","msg":"rpc client: request timeout","metadata":{"peer.id":"front-1","route":"connector.rem.slow","server":"back-1","timeout":"1.`)(s)
		},
	}}
	c.resolve(t)

	// A and B have one user, and the last of E and F waits for 6 s.
	parts := map[string]func(string) bool{"A, B and C": only("A", "B", "C")}
	for _, s := range c.steps {
		if !slices.Contains([]string{"A", "B", "C"}, s.conn) {
			parts[s.conn] = only(s.conn)
		}
	}
	t.Run("parts", func(t *testing.T) {
		for name, part := range parts {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if slices.Contains(rowS04, name) {
					t.Logf("exception %s: row S04: closed unless cereus.WithLenientHandshake is given", name)
					strict(t, c, name)
					c := *c
					c.address = func(string) string { return lenient.addr }
					c.play(t, done, part)
					return
				}
				c.play(t, done, part)
			})
		}
	})
	if !t.Failed() {
		t.Run("nats", heard.check)
	}
}

// rowS04 are the two conversations in which a Pitaya frontend accepts what ours
// refuses unless it is told otherwise.
var rowS04 = []string{"D-ackWithoutHandshake", "D-secondHandshake"}

// strict plays what the client said, up to where a strict frontend closes.
func strict(t *testing.T, c *script, conn string) {
	t.Helper()
	on := dial(t, c.address(conn), nil)
	for _, s := range c.steps {
		if s.conn == conn && s.send != nil {
			_, _ = on.conn.Write(s.send) // the frontend may have closed
		}
	}
	_, _, ok := on.await(func(s seen) bool { return s == closed })
	require.True(t, ok, "%s: not closed", conn)
}

func playCliDict(t *testing.T, done *tally) {
	w := newWorld(t)
	codes := map[string]uint16{"connector.svc.echo": 1, "onMessage": 300}
	front, _ := w.pair("back-1", nil, cereus.WithRouteDictionary(codes))
	w.put("servers/ghost/ghost-1", `{"id":"ghost-1","type":"ghost","metadata":{},"frontend":false,"hostname":"vm"}`)
	w.knows(front, "ghost-1")
	dictionary, err := protocol.NewDictionary(codes)
	require.NoError(t, err)
	c := &script{
		world:   w,
		address: func(string) string { return front.addr }, dictionary: dictionary,
		steps: recording(t, "clidict",
			hears(2, "A", "handshake", func(s seen) bool { return s.is(protocol.PacketHandshake) }),
			saysAck(3, "A"),
			says(4, "A", ask(1, "connector.svc.echo", `{"a":"plain"}`)), hearsAnswer(5, "A", 1, `"a":"plain"`),
			saysHandshake(11, "A2"),
			hearsAnswer(21, "A2", 3, `"a":"pushed"`),
			maybe(27, "A2", "heartbeat", func(s seen) bool { return s.is(protocol.PacketHeartbeat) }),
			hearsClosed(29, "A2"),
			hears(31, "C", "handshake", func(s seen) bool { return s.is(protocol.PacketHandshake) }),
			saysAck(32, "C"),
		),
		exceptions: map[string]exception{"clidict_034": noResponders(1)},
	}
	c.resolve(t)
	c.play(t, done, everyConnection)
}

// noResponders: Pitaya passes on what nats.go says; ours tries the other
// servers of the type and then has none (row N01).
func noResponders(id uint64) exception {
	return exception{
		reason: "no responders: the other servers of the type are tried, then there is none (PIT-500)",
		want:   isAnswer(id, `{"code":"PIT-500","msg":"no servers available of this type"}`),
	}
}

func playCliPB(t *testing.T, done *tally) {
	w := newWorld(t)
	front, _ := w.pair("back-1", map[string]any{"serializertype": "protobuf"})
	c := &script{
		world:   w,
		address: func(string) string { return front.addr },
		steps:   recording(t, "clipb", saysAck(3, "A"), says(4, "A", ask(1, "connector.svc.raw", "rawbytes"))),
	}
	c.resolve(t)
	c.play(t, done, everyConnection)
}

// twoFronts are front-1 and front-2 with one backend.
func twoFronts(t *testing.T, opts ...cereus.Option) *script {
	t.Helper()
	w := newWorld(t)
	one, back := w.pair("back-1", nil, opts...)
	two := w.start(serverParams{Type: "connector", ID: "front-2", Frontend: true, Options: opts})
	w.knows(back, "front-2")
	w.knows(two, "back-1")
	w.knows(one, "front-2")
	w.knows(two, "front-1")
	return &script{world: w, address: func(conn string) string {
		if strings.HasSuffix(conn, "@front2") {
			return two.addr
		}
		return one.addr
	}}
}

func playCliTwo(t *testing.T, done *tally) {
	notBad := cereus.WithHandshakeValidator("version", func(_ context.Context, h *protocol.HandshakeRequest) error {
		if h.Sys.Version == "bad" {
			return errors.New("bad version")
		}
		return nil
	})
	c := twoFronts(t, notBad)
	c.steps = recording(t, "clitwo",
		says(4, "A@front1", ask(1, "connector.svc.bind", `{"a":"u1"}`)),
		hearsHandshake(7, "B@front2", 200), saysAck(8, "B@front2"),
		hearsKick(11, "A@front1"),
		hearsAnswer(17, "C@front1", 1, `"a":"bound","uid":"u1"`),
		hearsKick(18, "B@front2"),
		says(20, "C@front1", ask(2, "room.svc.pushusers", `{"a":"u1"}`)),
		says(23, "C@front1", ask(3, "connector.svc.echo", `{"a":"`+strings.Repeat("q", 200)+`"}`)),
	)
	c.resolve(t)
	c.play(t, done, everyConnection)
}

func playCliGRPC(t *testing.T, done *tally) {
	c := twoFronts(t)
	c.steps = recording(t, "cligrpc",
		saysHandshake(1, "A"), saysAck(3, "A"),
		hearsAnswer(5, "A", 1, `"a":"x"`),
		says(6, "A", ask(2, "room.svc.fail", `{}`)),
		says(8, "A", ask(3, "room.svc.failcode", `{}`)),
		hearsAnswer(18, "A", 7, `"a":"bound"`),
		says(19, "A", ask(8, "room.svc.push", `{"a":"pushed"}`)),
		hears(20, "A", "push", isPush("onMessage", `{"a":"pushed","n":1}`)),
		hearsAnswer(21, "A", 8, `"a":"pushed"`),
		hears(23, "A", "push", isPush("onMessage", `{"a":"pushusers","n":2}`)),
		hearsAnswer(26, "A", 10, `"a":"pushusers"`),
		hearsAnswer(31, "A", 12, `"code":"PIT-408"`), // gRPC: PIT-000 with a text of its own
		hearsHandshake(33, "B@front2", 200),
		hearsKick(37, "A"), hearsClosed(38, "A"),
		says(39, "B@front2", ask(2, "room.svc.pushusers", `{"a":"u1"}`)),
		hearsAnswer(41, "B@front2", 2, `"a":"pushusers"`),
		besides(42, "B@front2", "the answer, before the kick", isAnswer(3, `"a":"kickusers"`)),
	)
	c.exceptions = map[string]exception{"cligrpc_014": {
		reason: "gRPC between servers is not spoken: played on NATS, which words it as in cli33_063",
		want:   isAnswer(5, `{"code":"PIT-000","msg":"you have to bind an UID to the session to do that"}`),
	}}
	c.resolve(t)
	c.play(t, done, everyConnection)
}

func playCliUID(t *testing.T, done *tally) {
	w := newWorld(t)
	front, _ := w.pair("back-1", nil)
	c := &script{
		world:   w,
		address: func(string) string { return front.addr },
		steps: recording(t, "cliuid",
			saysAck(3, "A"),
			hearsHandshake(7, "B", 200),
			says(9, "B", ask(1, "connector.svc.bind", `{"a":"a.x.b"}`)),
			hearsAnswer(14, "B", 2, `"a":"pushusers"`),
			hearsAnswer(17, "B", 3, ``),
			saysHandshake(20, "E"), saysAck(22, "E"),
			hearsAnswer(24, "E", 1, `"a":"bound","uid":"trail."`),
			hearsHandshake(29, "F", 200),
			// Where the wildcard's duplicate stood, and the push to the wildcard user.
			maybe(12, "B", "push", func(seen) bool { return false }),
			maybe(19, "A", "push", func(seen) bool { return false }),
		),
		exceptions: map[string]exception{"cliuid_005": wildcard(1)},
	}
	c.resolve(t)
	c.play(t, done, everyConnection)
}

// wildcard: Pitaya subscribes to a pattern with such a uid, so that others' pushes arrive twice.
func wildcard(id uint64) exception {
	return exception{
		reason: "a uid with a wildcard token is refused: its subject would be a pattern (wire.md 7)",
		want:   isAnswer(id, `{"code":"PIT-000","msg":"illegal uid"`),
	}
}

// illegalUID: refused by both.
func illegalUID(id uint64, what string) exception {
	return exception{
		reason: "a uid with " + what + " is refused with a text that says so, in place of that of nats.go",
		want:   isAnswer(id, `{"code":"PIT-000","msg":"illegal uid"`),
	}
}

// put writes a key below the prefix of the recordings.
func (w *world) put(key, value string) {
	w.t.Helper()
	_, err := w.etcd.Put(context.Background(), prefix+key, value)
	require.NoError(w.t, err)
}

// publish sends what another server would.
func (w *world) publish(subject string, m proto.Message) {
	w.t.Helper()
	b, err := proto.Marshal(m)
	require.NoError(w.t, err)
	require.NoError(w.t, w.nats.Publish(prefix+subject, b))
	require.NoError(w.t, w.nats.Flush())
}

// sys sends the recorded request of the group rpc-behaviour to the frontend.
func (w *world) sys(name string) {
	w.t.Helper()
	for _, v := range wirevectors.Load(w.t, "rpc-behaviour") {
		if v.Name == name {
			answer, err := w.nats.Request(v.Subject, v.Bytes(w.t), patience)
			require.NoError(w.t, err)
			require.Equal(w.t, v.ReplyBytes(w.t), answer.Data, name)
			return
		}
	}
	require.Fail(w.t, "no such vector", name)
}

func playCliInj(t *testing.T, done *tally) {
	w := newWorld(t)
	front, _ := w.pair("back-1", nil)
	for key, value := range map[string]string{
		"servers/ghost/ghost-1":  `{"id":"ghost-1","type":"ghost","metadata":{},"frontend":false,"hostname":"vm"}`,
		"servers/min/m1":         `{"id":"m1","type":"min"}`,
		"servers/badmeta/bm1":    `{"id":"bm1","type":"badmeta","metadata":{"n":1},"frontend":false,"hostname":"vm"}`,
		"servers/keytype/key-id": `{"id":"other-id","type":"othertype","metadata":{},"frontend":false,"hostname":"vm"}`,
	} {
		w.put(key, value)
	}
	w.knows(front, "ghost-1")
	w.knows(front, "m1")
	silent, err := w.nats.Subscribe(prefix+"servers/othertype/other-id", func(*nats.Msg) {})
	require.NoError(t, err)
	defer func() { _ = silent.Unsubscribe() }()

	c := &script{
		world:   w,
		address: func(string) string { return front.addr },
		steps: recording(t, "cliinj",
			says(4, "A", ask(1, "connector.svc.echo", `{}`)),
			does(6, "A", func() {
				w.sys("rpcbeh_connector_sys_bindsession_3_part")
				w.sys("rpcbeh_sys_bindsession_again_same_uid")
				w.sys("rpcbeh_sys_pushsession_bad_json")
				w.sys("rpcbeh_sys_pushsession")
			}),
			does(8, "A", func() {
				w.publish("connector/user/u1/push", &clusterpb.Push{Route: "onX", Uid: "somebody else", Data: []byte("dropped")})
				w.publish("connector/user/u1/push", &clusterpb.Push{Route: "onX", Uid: "u1", Data: []byte(`{"hello":1}`)})
				w.publish("connector/user/u1/push", &clusterpb.Push{Route: "onX", Uid: "u1"})
			}),
			hears(9, "A", "empty push", isPush("onX", "")),
			does(11, "A", func() {
				w.publish("connector/bindings", &clusterpb.BindMsg{Uid: "u1", Fid: "front-1"}) // its own: ignored
			}),
			says(11, "A", ask(3, "connector.svc.echo", `{"a":"still here"}`)), hearsAnswer(12, "A", 3, `"a":"still here"`),
			does(13, "A", func() { w.publish("connector/user/u1/kick", &clusterpb.KickMsg{UserId: "u1"}) }),
			does(20, "A2", func() { w.publish("connector/bindings", &clusterpb.BindMsg{Uid: "u1", Fid: "front-9"}) }),
			hearsKick(20, "A2"),
			saysAck(24, "A3"),
			hearsAnswer(28, "A3", 2, errs.ErrNotBound.Message),
			hearsAnswer(35, "A4", 2, errs.ErrNotBound.Message),
			hearsHandshake(37, "A5", 200), says(39, "A5", ask(1, "connector.svc.bind", `{"a":"u/1"}`)),
			hearsHandshake(45, "A6", 200),
			hears(56, "A7", "no responders", noResponders(1).want),
			hears(59, "A7", "no responders", noResponders(2).want),
			says(60, "A7", ask(3, "badmeta.svc.echo", `{}`)),
			says(62, "A7", ask(4, "othertype.svc.echo", `{}`)),
			says(64, "A7", ask(5, "keytype.svc.echo", `{}`)),
		),
		exceptions: map[string]exception{
			"cliinj_026": illegalUID(1, "white space"),
			"cliinj_033": illegalUID(1, "an empty token"),
			"cliinj_048": wildcard(1),
			"cliinj_050": {reason: "not bound, see cliinj_048", want: isAnswer(2, errs.ErrNotBound.Message)},
			"cliinj_051": {reason: "not bound, see cliinj_048"},
			"cliinj_063": {
				reason: "a server whose key and value differ is skipped (wire.md 6.1, and 18: never send)",
				want:   isAnswer(4, `{"code":"PIT-500","msg":"no servers available of this type"}`),
			},
		},
	}
	c.resolve(t)
	c.play(t, done, everyConnection)
}
