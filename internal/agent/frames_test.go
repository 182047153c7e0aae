package agent

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

// The first byte of a WebSocket frame (RFC 6455 section 5.2).
const (
	finalFrame   = 0x80
	continuation = 0
	textFrame    = 1
	binaryFrame  = 2
	closeFrame   = 8
	pingFrame    = 9
	pongFrame    = 10
)

// frame is one of a client, masked with a key that changes nothing.
func frame(first byte, payload []byte) []byte {
	const masked = 0x80
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func whole(payload []byte) []byte { return frame(finalFrame|binaryFrame, payload) }

// closing is a close frame of a client.
func closing(code uint16, reason string) []byte {
	return frame(finalFrame|closeFrame, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// endless is a message of fragments that does not end.
func endless(fragment []byte) []byte {
	return append(frame(binaryFrame, fragment), bytes.Repeat(frame(continuation, fragment), 1024)...)
}

// rawSocket is a WebSocket whose client writes the frames itself.
type rawSocket struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

// upgrade connects a client that is through its handshake.
func (r *rig) upgrade(t *testing.T) *rawSocket {
	t.Helper()
	s := &rawSocket{t: t, nc: r.dialRaw()}
	s.r = bufio.NewReader(s.nc)
	s.send([]byte("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	answer, err := http.ReadResponse(s.r, nil)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	s.send(whole(encoded(t, protocol.PacketHandshake, hello)))
	kind, payload := s.next()
	require.EqualValues(t, binaryFrame, kind)
	require.Contains(t, string(payload), `"code":200`)
	s.send(whole(encoded(t, protocol.PacketHandshakeAck, "")))
	a := r.session().Entity().(*Agent)
	require.Eventually(t, func() bool { // a close frame that meets a write is left out
		a.out.mu.Lock()
		defer a.out.mu.Unlock()
		return !a.out.writing
	}, patience, tick)
	return s
}

func (s *rawSocket) send(b []byte) {
	s.t.Helper()
	_, err := s.nc.Write(b)
	require.NoError(s.t, err)
}

// next is the next frame of the server.
func (s *rawSocket) next() (kind byte, payload []byte) {
	s.t.Helper()
	head := make([]byte, 2)
	_, err := io.ReadFull(s.r, head)
	require.NoError(s.t, err)
	n := int(head[1])
	if n == 126 {
		more := make([]byte, 2)
		_, err = io.ReadFull(s.r, more)
		require.NoError(s.t, err)
		n = int(binary.BigEndian.Uint16(more))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(s.r, payload)
	require.NoError(s.t, err)
	return head[0] &^ finalFrame, payload
}

// answers reads n answers of the game, and pongs between them.
func (s *rawSocket) answers(n int) {
	s.t.Helper()
	for n > 0 {
		switch kind, payload := s.next(); kind {
		case binaryFrame:
			require.Contains(s.t, string(payload), "abcdef")
			n--
		default:
			require.EqualValues(s.t, pongFrame, kind)
		}
	}
}

// closed reads the close frame, behind which nothing comes.
func (s *rawSocket) closed() (code int, reason string) {
	s.t.Helper()
	kind, payload := s.next()
	require.EqualValues(s.t, closeFrame, kind)
	_, err := s.r.ReadByte()
	require.Error(s.t, err)
	return int(binary.BigEndian.Uint16(payload)), string(payload[2:])
}

// TestS06_RawFrames: what a player's client is told, by the table in docs/players.md.
func TestS06_RawFrames(t *testing.T) {
	t.Parallel()
	const (
		refused = protocol.ReasonProtocol
		flood   = protocol.ReasonFlood
		left    = protocol.ReasonLeft
	)
	heartbeat := encoded(t, protocol.PacketHeartbeat, "")
	data := encodedMessage(t, protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: "svc.echo", Data: []byte("abcdef")})
	parts := join(frame(binaryFrame, data[:3]), frame(continuation, nil), frame(finalFrame|pingFrame, []byte("mid")),
		frame(continuation, data[3:5]), frame(finalFrame|continuation, data[5:]))
	for _, tc := range []struct {
		name    string
		sent    []byte
		answers int // then the client leaves by itself
		code    int
		word    string
	}{
		{"binary", whole(data), 1, 1000, left},
		{"text", frame(finalFrame|textFrame, data), 1, 1000, left},
		{"many in a segment", bytes.Repeat(whole(data), 50), 50, 1000, left},
		{"fragments with a ping between", join(parts, parts), 2, 1000, left},
		{"pong nobody asked for", join(frame(finalFrame|pongFrame, []byte("x")), whole(data)), 1, 1000, left},
		{"unmasked", append([]byte{finalFrame | binaryFrame, byte(len(data))}, data...), 0, 1002, refused},
		{"negative length", append([]byte{finalFrame | binaryFrame, 0xff}, bytes.Repeat([]byte{0xff}, 12)...), 0, 1002, refused},
		{"huge length", []byte{finalFrame | binaryFrame, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 0, 1002, refused},
		{"opcode 3", frame(finalFrame|3, data), 0, 1002, refused},
		{"opcode 11", frame(finalFrame|11, nil), 0, 1002, refused},
		{"opcode 15", frame(finalFrame|15, nil), 0, 1002, refused},
		{"rsv1", frame(finalFrame|0x40|binaryFrame, data), 0, 1002, refused},
		{"rsv2", frame(finalFrame|0x20|binaryFrame, data), 0, 1002, refused},
		{"rsv3", frame(finalFrame|0x10|pingFrame, nil), 0, 1002, refused},
		{"endless fragments", endless(make([]byte, 100)), 0, 1002, refused},
		{"endless empty fragments", endless(nil), 0, 4001, flood},
		{"continuation first", frame(finalFrame|continuation, data), 0, 1002, refused},
		{"new message in a message", join(frame(binaryFrame, data[:2]), whole(data)), 0, 1002, refused},
		{"fragmented ping", frame(pingFrame, nil), 0, 1002, refused},
		{"long ping", frame(finalFrame|pingFrame, make([]byte, 126)), 0, 1002, refused},
		{"flood of pongs", bytes.Repeat(frame(finalFrame|pongFrame, nil), 257), 0, 4001, flood},
		{"two packets in a message", whole(join(heartbeat, heartbeat)), 0, 1002, refused},
		{"empty message", whole(nil), 0, 1002, refused},
		{"short header", whole(heartbeat[:3]), 0, 1002, refused},
		{"packet over two messages", join(whole(data[:6]), whole(data[6:])), 0, 1002, refused},
		{"wrong packet type", whole([]byte{6, 0, 0, 0}), 0, 1002, refused},
		{"S02 packet announces more than the limit", whole([]byte{4, 0xff, 0xff, 0xff}), 0, 1002, refused},
		{"message above the limit", whole(make([]byte, acceptor.DefaultBody+5)), 0, 1002, refused},
		{"close 4000", closing(4000, ""), 0, 4000, left},
		{"close without code", frame(finalFrame|closeFrame, nil), 0, 1000, left},
		{"close with half a code", frame(finalFrame|closeFrame, []byte{3}), 0, 1002, refused},
		{"close with a reason", closing(1000, "bye"), 0, 1000, left},
		{"close with a reason that is no UTF-8", closing(1000, "\xff"), 0, 1002, refused},
		{"close 1005", closing(1005, ""), 0, 1002, refused},
		{"close 999", closing(999, ""), 0, 1002, refused},
		{"close in a message", join(frame(binaryFrame, data[:2]), closing(1001, "")), 0, 1001, left},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"))
			c := r.upgrade(t)
			s := r.session()
			_, _ = c.nc.Write(tc.sent) // the server may close before it has all
			if tc.answers > 0 {
				c.answers(tc.answers)
				c.send(closing(1000, ""))
			}
			code, reason := c.closed()
			require.Equal(t, tc.code, code)
			require.Equal(t, tc.word, closed(t, s))
			if tc.word == left { // who leaves is told nothing but its own code
				tc.word = ""
			}
			require.Equal(t, tc.word, reason)
		})
	}
}

// TestEveryEndOfReadingHasACode: also those that no frame brings about.
func TestEveryEndOfReadingHasACode(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]protocol.CloseCode{
		io.EOF: 1000, acceptor.ErrPeerClosed: 1000,
		acceptor.ErrFlood: 4001, errFlood: 4001, acceptor.ErrDeadline: 4002, acceptor.ErrBudget: 4003, acceptor.ErrSlow: 4100,
		acceptor.ErrTooLarge: 1002, acceptor.ErrWrongType: 1002, acceptor.ErrHeader: 1002, acceptor.ErrShort: 1002,
		acceptor.ErrTrailing: 1002, acceptor.ErrFrame: 1002, errState: 1002, protocol.ErrInvalidMessage: 1002,
	} {
		require.EqualValues(t, want, statusOf(reasonOf(err), "").Code, err)
	}
	for _, err := range []error{acceptor.ErrBroken, acceptor.ErrClosed} {
		require.Zero(t, statusOf(reasonOf(err), ""), "nobody is there to be told")
	}
}

// TestAPanicEndsTheSession: at once, with a code, and neighbours do not notice.
func TestAPanicEndsTheSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"), func(p *HostParams) {
		p.Decoding.Intern = func(b []byte) string {
			if string(b) == "svc.panic" {
				panic("oops")
			}
			return string(b)
		}
	})
	c := r.upgrade(t)
	s := r.session()
	ask := func(route string) []byte {
		return whole(encodedMessage(t, protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: route, Data: []byte("abcdef")}))
	}
	neighbour := r.upgrade(t)
	c.send(ask("svc.panic"))
	require.Equal(t, protocol.ReasonInternal, closed(t, s))
	code, reason := c.closed()
	require.Equal(t, 1011, code)
	require.Equal(t, protocol.ReasonInternal, reason)
	neighbour.send(ask("svc.echo"))
	neighbour.answers(1)
}
