package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/protocol"
)

// Steps of a conversation, one letter each.
//
//	h handshake  H handshake that is refused  a ack  b heartbeat  k kick
//	d request, answered  D request, closed without an answer
type conversation struct {
	steps  string
	strict string // how far it goes until the connection is closed
	pitaya string
}

// TestS04_States is the table of wire.md 2.1.
func TestS04_States(t *testing.T) {
	t.Parallel()
	for _, c := range []conversation{
		{"had", "had", "had"},
		{"bhbabdkd", "bhbabdkd", "bhbabdkd"},
		{"khakd", "khakd", "khakd"},
		{"D", "", ""},
		{"hD", "h", "h"},
		{"ad", "", "ad"},
		{"haad", "haad", "haad"},
		{"hhad", "h", "hhad"},
		{"hadhad", "had", "hadhad"},
		{"hadhD", "had", "hadh"},
		{"H", "", ""},
		{"hadH", "had", "had"},
	} {
		t.Run(c.steps, func(t *testing.T) {
			t.Parallel()
			for leniency, want := range map[Leniency]string{Strict: c.strict, AsPitaya: c.pitaya} {
				r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Lenient = leniency })
				converse(r.dialTCP(), c.steps, want)
			}
		})
	}
}

func converse(c *client, steps, want string) {
	c.t.Helper()
	for i, s := range steps {
		if i == len(want) && s != 'H' && s != 'D' {
			c.step(s)
			require.Error(c.t, c.end())
			return
		}
		c.step(s)
		switch s {
		case 'h':
			require.True(c.t, strings.HasPrefix(string(c.next().body), `{"code":200`), "step %d", i)
		case 'd':
			m := c.answer()
			require.Equal(c.t, "x", string(m.Data), "step %d", i)
		case 'H':
			if p, ok := <-c.packets; ok {
				require.True(c.t, strings.HasPrefix(string(p.body), `{"code":400`), "step %d", i)
			}
			require.Error(c.t, c.end())
		case 'D':
			_, ok := <-c.packets
			require.False(c.t, ok, "answered, step %d", i)
			require.Error(c.t, c.end())
		}
	}
}

func (c *client) step(s rune) {
	c.t.Helper()
	switch s {
	case 'h':
		c.send(protocol.PacketHandshake, hello)
	case 'H':
		c.send(protocol.PacketHandshake, `[]`)
	case 'a':
		c.send(protocol.PacketHandshakeAck, "")
	case 'b':
		c.send(protocol.PacketHeartbeat, "")
	case 'k':
		c.send(protocol.PacketKick, "")
	case 'd', 'D':
		c.request(1, "svc.echo", "x")
	}
}

// The session of a normal handshake knows what the client said, and by which
// kind of address it came (wire.md 2.2); that of a lenient ack knows nothing.
func TestSessionOfAHandshake(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Lenient = AsPitaya })
	c := r.dialTCP()
	c.handshake()
	s := r.session()
	require.Equal(t, "test", s.Handshake().Sys.Platform)
	require.JSONEq(t, `{"ipversion":"ipv4"}`, string(s.Data()))
	s.Close(protocol.ReasonKicked)
	require.Error(t, c.end())

	c = r.dialTCP()
	c.send(protocol.PacketHandshakeAck, "")
	c.works(1)
	s = r.session()
	require.Nil(t, s.Handshake())
	require.JSONEq(t, `{}`, string(s.Data()))
	require.Equal(t, "ipv6", ipVersion("[::1]:7"))
}

func TestS07_BadHandshakesAreAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	for _, body := range []string{"", "[]", `{"sys":1}`, `{"user":[]}`, strings.Repeat("[", 4000)} {
		c := r.dialTCP()
		c.send(protocol.PacketHandshake, body)
		p := c.next()
		require.Equal(t, protocol.PacketHandshake, p.kind)
		var answer struct{ Code int }
		require.NoError(t, json.Unmarshal(p.body, &answer))
		require.Equal(t, 400, answer.Code)
		require.Equal(t, io.EOF, c.end())
	}
	require.Eventually(t, func() bool { return r.host.Pool.Count() == 0 }, patience, tick)
}

// What a client sends behind a handshake that is refused must not cost it the
// answer: a socket closed with unread bytes is reset.
func TestRefusalSurvivesPipelinedBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	more := encodedMessage(t, protocol.Message{Type: protocol.MessageNotify, Route: "svc.note", Data: make([]byte, 3000)})
	for range 5 {
		nc := r.dialRaw()
		all := encoded(t, protocol.PacketHandshake, "{")
		for range 100 {
			all = append(all, more...)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = nc.Write(all)
			_, _ = nc.Write(all)
		}()
		got, err := io.ReadAll(nc)
		require.NoError(t, err, "reset")
		require.Equal(t, r.host.refused, got)
		require.NoError(t, nc.CloseWrite())
		<-sent
	}
	require.Empty(t, r.game.heard())
}

// A client that reads its refusal and does nothing is not kept.
func TestRefusedClientsAreClosedSoon(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.send(protocol.PacketHandshake, "{")
	require.Equal(t, io.EOF, c.end())
	require.Eventually(t, func() bool { return r.acc.(*acceptor.TCP).Connections() == 0 }, patience, tick)
}

func TestValidators(t *testing.T) {
	t.Parallel()
	asked := make(chan time.Duration, 16)
	good := func(ctx context.Context, h *protocol.HandshakeRequest) error {
		deadline, ok := ctx.Deadline()
		if !ok {
			return errors.New("no deadline")
		}
		asked <- time.Until(deadline)
		if h.User["name"] != "ann" {
			return errors.New("not ann")
		}
		return nil
	}
	bad := func(context.Context, *protocol.HandshakeRequest) error { return errors.New("secret reason") }
	panics := func(context.Context, *protocol.HandshakeRequest) error { panic("secret panic") }
	exits := func(context.Context, *protocol.HandshakeRequest) error { runtime.Goexit(); return nil }
	for name, v := range map[string]Validator{"good": good, "bad": bad, "panics": panics, "exits": exits} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
				p.Validators = map[string]Validator{"first": good, "second": v}
			})
			c := r.dialTCP()
			if name == "good" {
				c.handshake()
				c.works(1)
				require.LessOrEqual(t, <-asked, 5*time.Second)
				return
			}
			c.send(protocol.PacketHandshake, hello)
			p := c.next()
			require.True(t, strings.HasPrefix(string(p.body), `{"code":400`), "%s", p.body)
			require.NotContains(t, string(p.body), "secret")
			require.Equal(t, io.EOF, c.end())
		})
	}
}

// TestGreetPassesPanicsOn to the goroutine of the connection, which alone ends.
func TestGreetPassesPanicsOn(t *testing.T) {
	t.Parallel()
	h := NewHost(HostParams{Validators: map[string]Validator{"none": nil}}) // without a group to validate in
	workers := lifecycle.NewGroup(context.Background())
	h.greeters = lifecycle.NewWorkers(workers, "handshake", func(_ context.Context, g *greeting) { h.readGreeting(g) })
	defer func() {
		require.Contains(t, recover(), "handshake.go", "with the stack")
		require.NoError(t, workers.Stop(context.Background()))
		_, err := h.greet([]byte(hello))
		require.ErrorIs(t, err, errUnread)
	}()
	_, err := h.greet([]byte(hello))
	t.Error("it returned: ", err)
}

func TestFencedHostsTakeNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Fenced = func() bool { return true } })
	require.Error(t, r.dialTCP().end())
	require.Zero(t, r.host.Pool.Count())
}

// TestMessages is wire.md 3.7 at a client's side.
func TestMessages(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.handshake()
	for _, m := range []protocol.Message{
		{Type: protocol.MessageRequest, ID: 0, Route: "svc.note", Data: []byte("request 0")},
		{Type: protocol.MessageNotify, Route: "svc.note", Data: []byte("notify")},
		{Type: protocol.MessageNotify, Route: "svc.nothing"},
		{Type: protocol.MessagePush, Route: "front.svc.note", Data: []byte("push")},
	} {
		c.message(m)
	}
	c.works(7) // the first answer of all
	require.Equal(t, []string{"request 0", "notify", "push"}, r.game.heard())
	c.message(protocol.Message{Type: protocol.MessageResponse, ID: 9})
	require.Equal(t, "PIT-400", c.failure(9))
	for id, route := range map[uint64]string{10: "svc.nothing", 11: "sys.kick", 12: "front.sys.bindsession"} {
		c.request(id, route, "")
		require.Equal(t, "PIT-404", c.failure(id))
	}
	c.request(13, "svc.note", "")
	require.Equal(t, "PIT-400", c.failure(13))
	c.request(14, "nowhere.svc.echo", "")
	require.Equal(t, "PIT-500", c.failure(14))
	c.request(15, "svc.huge", "")
	require.Equal(t, "PIT-413", c.failure(15))
	c.request(16, "a..b", "")
	require.Equal(t, "PIT-400", c.failure(16))
	c.works(17)
}

func TestMalformedMessagesClose(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	for _, body := range []string{"", "\x00", "\x00\x01", "\x08\x01", "\x02\x09ab", "\x01\x01\x00\x07", "\x10\x01\x01rXX"} {
		c := r.dialTCP()
		c.handshake()
		c.send(protocol.PacketData, body)
		require.Error(t, c.end())
	}
}

// A connection that is closed while its handshake is validated leaves no inbox
// open: what follows the handshake is not served.
func TestClosedDuringTheHandshake(t *testing.T) {
	t.Parallel()
	var r *rig
	agents := make(chan *Agent, 1)
	r = newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
		p.Validators = map[string]Validator{"slow": func(context.Context, *protocol.HandshakeRequest) error {
			for i := range r.host.wheel.slots {
				for _, a := range r.host.wheel.slots[i].agents() {
					a.end(protocol.ReasonTimeout)
					agents <- a
				}
			}
			return nil
		}}
	})
	c := r.dialTCP()
	note := encodedMessage(t, protocol.Message{Type: protocol.MessageNotify, Route: "svc.note", Data: []byte("late")})
	_, err := c.nc.Write(slices.Concat(encoded(t, protocol.PacketHandshake, hello), encoded(t, protocol.PacketHandshakeAck, ""), note))
	require.NoError(t, err)
	a := <-agents
	require.Error(t, c.end())
	require.Eventually(t, func() bool {
		p := a.player.Load()
		return p != nil && !p.inbox.Offer(nil)
	}, patience, tick, "the inbox is not closed")
	require.Zero(t, r.host.Pool.Count())
	require.Empty(t, r.game.heard())
}
