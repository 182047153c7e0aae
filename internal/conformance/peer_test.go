package conformance_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// seen is one thing that a server did to a connection, in a form in which two
// servers can be compared: payloads inflated, without "sid".
type seen struct {
	Kind  string // a packet type, or "closed"
	Flag  byte   // of a data packet, as it stands on the wire
	ID    uint64
	Route string
	Body  string
}

var closed = seen{Kind: "closed"}

func (s seen) String() string {
	if s.Kind != protocol.PacketData.String() {
		return fmt.Sprintf("%s %q", s.Kind, s.Body)
	}
	return fmt.Sprintf("flag=%02x id=%d route=%q body=%.200s", s.Flag, s.ID, s.Route, s.Body)
}

func (s seen) is(kind protocol.PacketType) bool { return s.Kind == kind.String() }

func (s seen) push() bool { return s.is(protocol.PacketData) && s.Flag&0x0e == 0x06 }

// see reads a packet as a client does.
func see(p protocol.Packet, dictionary *protocol.Dictionary) (seen, error) {
	s := seen{Kind: p.Type.String(), Body: string(p.Body)}
	switch p.Type {
	case protocol.PacketHandshake:
		if protocol.IsCompressed(p.Body) {
			body, err := protocol.Inflate(p.Body, protocol.InflateLimits{})
			s.Body = "zlib:" + string(body) // there is no flag that would tell
			return s, err
		}
	case protocol.PacketData:
		m, err := protocol.DecodeMessage(p.Body, protocol.Decoding{Dictionary: dictionary})
		if err != nil {
			return s, err
		}
		s.Flag, s.ID, s.Route, s.Body = p.Body[0], m.ID, m.Route, withoutSID(m.Data)
		if s.Body != string(m.Data) { // the length of a sid decides what deflating gains
			if m.Compressed != (len(protocol.Deflate(nil, m.Data)) < len(m.Data)) {
				return s, errNotShorter
			}
			s.Flag &^= flagDeflated
		}
	}
	return s, nil
}

// flagDeflated is the bit of a message whose payload is zlib (wire.md 3.1).
const flagDeflated = 0x10

// errNotShorter: a payload is sent deflated if and only if that is shorter (wire.md 3.5).
var errNotShorter = errors.New("deflated although that is longer, or not although it is shorter")

// peer is a client that says what it is told, byte by byte.
type peer struct {
	t          testing.TB
	conn       net.Conn
	dictionary *protocol.Dictionary
	arriving   chan seen // closed after what was seen last
	pool       []seen    // arrived and not asked for
	working    bool      // acknowledged, not closed: requests are answered
}

func dial(t testing.TB, addr string, dictionary *protocol.Dictionary) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	require.NoError(t, err)
	p := &peer{t: t, conn: conn, dictionary: dictionary, arriving: make(chan seen, 256)}
	t.Cleanup(func() { _ = conn.Close() })
	go p.read()
	return p
}

func (p *peer) read() {
	defer close(p.arriving)
	for {
		packet, err := protocol.ReadPacket(p.conn, protocol.MaxPacketBody)
		if err != nil {
			p.arriving <- closed
			return
		}
		s, err := see(packet, p.dictionary)
		if err != nil {
			s.Kind = err.Error()
		}
		p.arriving <- s
	}
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	_, err := p.conn.Write(b)
	require.NoError(p.t, err)
}

// await takes the first thing that match accepts out of what arrived or
// arrives. It returns the others, heartbeats aside, that came before it.
func (p *peer) await(match func(seen) bool) (found seen, skipped []seen, ok bool) {
	for i, s := range p.pool {
		if match(s) {
			p.pool = slices.Delete(p.pool, i, i+1)
			return s, skipped, true
		}
		if !s.is(protocol.PacketHeartbeat) {
			skipped = append(skipped, s)
		}
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case s, open := <-p.arriving:
			switch {
			case !open:
				return seen{}, skipped, false
			case match(s):
				return s, skipped, true
			}
			p.pool = append(p.pool, s)
			if !s.is(protocol.PacketHeartbeat) {
				skipped = append(skipped, s)
			}
		case <-late.C:
			return seen{}, skipped, false
		}
	}
}

// handshake brings the connection to work.
func (p *peer) handshake() {
	p.t.Helper()
	p.send(handshakePacket)
	_, _, ok := p.await(func(s seen) bool { return s.is(protocol.PacketHandshake) })
	require.True(p.t, ok, "no handshake response")
	p.send(ackPacket)
}

// What a client says first; the former as in the recordings.
var (
	handshakePacket = packet(protocol.PacketHandshake, []byte(`{"sys":{"platform":"mac","libVersion":"0.3.5-release",`+
		`"clientBuildNumber":"20","clientVersion":"2.1"},"user":{"age":30}}`))
	ackPacket = packet(protocol.PacketHandshakeAck, nil)
)

func packet(t protocol.PacketType, body []byte) []byte {
	b, err := protocol.AppendPacket(nil, t, body)
	if err != nil {
		panic(err)
	}
	return b
}

// message is a data packet of a client.
func message(m protocol.Message) []byte {
	body, err := m.AppendTo(nil, protocol.Encoding{})
	if err != nil {
		panic(err)
	}
	return packet(protocol.PacketData, body)
}

// ask is a request of a client.
func ask(id uint64, route, body string) []byte {
	return message(protocol.Message{Type: protocol.MessageRequest, ID: id, Route: route, Data: []byte(body)})
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return string(b)
}
