package conformance_test

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/wirevectors"
	"github.com/cereus-game/cereus/protocol"
)

// step is one line of a conversation.
type step struct {
	place int // twice the number in the vector's name; odd between two of them
	name  string
	conn  string
	// One of these three.
	send []byte
	want func(seen) bool
	act  func()

	last     bool   // the client ends its side after send
	text     string // what is wanted, for the failure
	optional bool   // wanted or not: the test only knows that it may come
	extra    bool   // not one of the numbered lines
	vector   bool
}

// The file leaves some lines of the conversations out; their numbers are
// missing. What stood there follows from the lines around it. says and hears
// put it back, does adds what the recording's makers did behind the scenes.

func says(n int, conn string, b []byte) step {
	return step{place: 2 * n, conn: conn, send: b}
}

// saysLast ends the client's side after b.
func saysLast(n int, conn string, b []byte) step {
	s := says(n, conn, b)
	s.last = true
	return s
}

func hears(n int, conn, text string, want func(seen) bool) step {
	return step{place: 2 * n, conn: conn, want: want, text: text}
}

func does(before int, conn string, act func()) step {
	return step{place: 2*before - 1, conn: conn, act: act}
}

// maybe is line n where it depends on the time, or cannot be known, what came.
func maybe(n int, conn, text string, want func(seen) bool) step {
	s := hears(n, conn, text, want)
	s.optional = true
	return s
}

// besides is something that may come at any time after line n, and may not.
func besides(n int, conn, text string, want func(seen) bool) step {
	s := maybe(n, conn, text, want)
	s.extra = true
	return s
}

// The usual missing lines.

func saysHandshake(n int, conn string) step { return says(n, conn, handshakePacket) }
func saysAck(n int, conn string) step       { return says(n, conn, ackPacket) }

func hearsHandshake(n int, conn string, code int) step {
	return hears(n, conn, fmt.Sprintf("handshake %d", code), func(s seen) bool {
		return s.is(protocol.PacketHandshake) && strings.Contains(s.Body, fmt.Sprintf(`{"code":%d,`, code))
	})
}

func hearsClosed(n int, conn string) step {
	return hears(n, conn, "closed", func(s seen) bool { return s == closed })
}

func hearsKick(n int, conn string) step {
	return hears(n, conn, "kick", func(s seen) bool { return s == seen{Kind: protocol.PacketKick.String()} })
}

// hearsAnswer is the response with the id and, unless empty, with part in its body.
func hearsAnswer(n int, conn string, id uint64, part string) step {
	return hears(n, conn, fmt.Sprintf("response %d with %q", id, part), isAnswer(id, part))
}

func isAnswer(id uint64, part string) func(seen) bool {
	return func(s seen) bool {
		return s.is(protocol.PacketData) && s.Flag&0x0e == 0x04 && s.ID == id && strings.Contains(s.Body, part)
	}
}

func isPush(route, body string) func(seen) bool {
	return func(s seen) bool { return s.push() && s.Route == route && s.Body == body }
}

// exception says what is right in place of a recorded line.
type exception struct {
	reason string
	want   func(seen) bool // nil: the line does not come at all
}

// script is one or more connections of one recording, in the order of the file.
type script struct {
	world      *world
	steps      []step
	exceptions map[string]exception
	dictionary *protocol.Dictionary
	// address is where a connection goes.
	address func(conn string) string
}

// recording is all lines with the prefix, those left out put back. A number
// that is still missing fails the test.
func recording(t testing.TB, prefix string, missing ...step) []step {
	t.Helper()
	steps := slices.Clone(missing)
	for i := range steps {
		steps[i].name = fmt.Sprintf("%s_%03d (not in the file)", prefix, steps[i].place/2)
	}
	for _, v := range wirevectors.Load(t, "live-client") {
		if head, number, ok := strings.Cut(v.Name, "_"); ok && head == prefix {
			n, err := strconv.Atoi(number)
			require.NoError(t, err)
			steps = append(steps, lineOf(t, v, n))
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.place, b.place) })
	next := 1
	for _, s := range steps {
		if s.act == nil && !s.extra {
			require.Equal(t, next, s.place/2, "%s: a line is missing or there twice", prefix)
			next++
		}
	}
	return steps
}

// lineOf is a vector as a step; what a server said is compared by compare.
func lineOf(t testing.TB, v wirevectors.Vector, n int) step {
	t.Helper()
	rest, ok := strings.CutPrefix(v.Description, "connection ")
	require.True(t, ok, v.Name)
	conn, _, ok := strings.Cut(rest, ", t=")
	require.True(t, ok, v.Name)
	s := step{place: 2 * n, name: v.Name, conn: conn, vector: true}
	switch v.Direction {
	case "client to server":
		s.send = v.Bytes(t)
	case "server closes the connection":
		s.want, s.text = func(s seen) bool { return s == closed }, "closed"
	default:
		s.text = v.Hex // read when the dictionary is known
	}
	return s
}

// resolve makes the recorded packets comparable.
func (c *script) resolve(t testing.TB) {
	t.Helper()
	for i := range c.steps {
		s := &c.steps[i]
		if !s.vector || s.send != nil || s.want != nil {
			continue
		}
		packets, err := protocol.DecodePackets(unhex(t, s.text))
		require.NoError(t, err, s.name)
		require.Len(t, packets, 1, s.name)
		want, err := see(packets[0], c.dictionary)
		require.NoError(t, err, s.name)
		s.text = want.String()
		s.want = func(got seen) bool { return got == want }
	}
}

// play plays the lines of the connections that keep says.
func (c *script) play(t *testing.T, done *tally, keep func(conn string) bool) {
	t.Helper()
	p := &player{t: t, script: c, peers: make(map[string]*peer), route: make(map[string]string)}
	for _, s := range c.steps {
		if keep(s.conn) {
			p.step(s)
			done.lines.Store(s.name, true)
		}
	}
	p.finish()
}

// player is a script that is being played.
type player struct {
	t *testing.T
	*script
	peers map[string]*peer
	order []string          // of the connections
	route map[string]string // of the last message, by connection
	may   []step
}

func (p *player) step(s step) {
	p.t.Helper()
	switch {
	case s.act != nil:
		s.act()
	case s.optional:
		p.may = append(p.may, s)
	case s.send != nil:
		p.say(s)
	default:
		p.hear(s)
	}
}

func (p *player) peer(conn string) *peer {
	p.t.Helper()
	if open := p.peers[conn]; open != nil {
		return open
	}
	opened := dial(p.t, p.address(conn), p.dictionary)
	p.peers[conn] = opened
	p.order = append(p.order, conn)
	return opened
}

func (p *player) say(s step) {
	p.t.Helper()
	on := p.peer(s.conn)
	on.send(s.send)
	if s.last {
		tcp, ok := on.conn.(*net.TCPConn)
		require.True(p.t, ok)
		require.NoError(p.t, tcp.CloseWrite())
	}
	packets, err := protocol.DecodePackets(s.send)
	if err != nil || len(packets) == 0 {
		return
	}
	switch packets[0].Type {
	case protocol.PacketHandshakeAck:
		on.working = true
	case protocol.PacketData:
		if m, err := protocol.DecodeMessage(packets[0].Body, protocol.Decoding{Dictionary: p.dictionary}); err == nil {
			p.route[s.conn] = m.Route
		}
	}
}

func (p *player) hear(s step) {
	p.t.Helper()
	on := p.peer(s.conn)
	want := s.want
	if e, ok := p.exceptions[s.name]; ok {
		p.t.Logf("exception %s: %s", s.name, e.reason)
		if want = e.want; want == nil {
			return
		}
	}
	got, skipped, ok := on.await(want)
	require.True(p.t, ok, "%s: connection %s:\nwanted %s\n   got %v", s.name, s.conn, s.text, on.pool)
	for _, other := range skipped {
		p.mayOvertake(s, got, other)
	}
	if got == closed {
		on.working = false
	}
}

// mayOvertake fails for an order that differs from the recorded one, unless it
// is that of a push and a response over NATS, which is free (wire.md 10.4).
func (p *player) mayOvertake(s step, got, other seen) {
	p.t.Helper()
	free := (got.push() || other.push()) && strings.HasPrefix(p.route[s.conn], "room.")
	require.True(p.t, free || p.expected(s.conn, other), "%s: connection %s: %s came before %s", s.name, s.conn, other, got)
}

func (p *player) expected(conn string, got seen) bool {
	return slices.ContainsFunc(p.may, func(s step) bool { return s.conn == conn && s.want(got) })
}

// finish makes sure that nothing came that is not in the recording. A last
// request to each server comes back after everything that was asked before.
func (p *player) finish() {
	p.t.Helper()
	for _, conn := range p.order {
		on := p.peers[conn]
		if on.working {
			for i, route := range []string{"connector.svc.raw", "room.svc.raw"} {
				id := uint64(1_000_000 + i)
				on.send(ask(id, route, "the end"))
				_, _, ok := on.await(isAnswer(id, "the end"))
				require.True(p.t, ok, "connection %s: no answer at the end: %v", conn, on.pool)
			}
		}
		for _, s := range on.pool {
			require.True(p.t, s.is(protocol.PacketHeartbeat) || p.expected(conn, s), "connection %s: not in the recording: %s", conn, s)
		}
	}
}
