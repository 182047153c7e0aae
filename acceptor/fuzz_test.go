package acceptor

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// packetVectors are the byte strings of testdata/packets.json, copied from the
// wire specification's vector file.
func packetVectors(t testing.TB) [][]byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/packets.json")
	require.NoError(t, err)
	var entries []struct{ Hex string }
	require.NoError(t, json.Unmarshal(raw, &entries))
	var all [][]byte
	for _, e := range entries {
		b, err := hex.DecodeString(e.Hex)
		require.NoError(t, err)
		all = append(all, b)
	}
	return all
}

// sliced is a link that gives a stream in pieces, and then EOF.
type sliced struct {
	pipeLink
	stream []byte
	piece  int
	memory *memory
	t      testing.TB
}

func (l *sliced) fill(in *inbox) error {
	if held := l.memory.held.Load(); held > l.memory.budget || held < 0 {
		l.t.Fatalf("%d bytes held", held)
	}
	dst := in.begin()
	if len(dst) == 0 {
		l.t.Fatal("asked to read nothing")
	}
	n := copy(dst, l.stream[:min(l.piece, len(l.stream))])
	if n == 0 {
		in.abort()
		return io.EOF
	}
	l.stream = l.stream[n:]
	l.piece = l.piece*5%61 + 1
	in.commit(n)
	return nil
}

func (l *sliced) tryWrite(b []byte) (int, error)            { return len(b), nil }
func (l *sliced) writeAll(bufs [][]byte, _ time.Time) error { return nil }

// idleConn is a net.Conn for deadlines only.
type idleConn struct{ net.Conn }

func (idleConn) SetReadDeadline(time.Time) error { return nil }

const fuzzLimit = 40_000

func slicedConn(t testing.TB, stream []byte, piece int) *Conn {
	s := &shared{limits: defaultLimits()}
	s.memory.budget = 2 * fuzzLimit
	c := &Conn{nc: idleConn{}, shared: s, transport: TransportWebSocket}
	c.link = &sliced{stream: stream, piece: max(piece, 1), memory: &s.memory, t: t}
	c.in.memory = &s.memory
	c.SetLimit(fuzzLimit)
	return c
}

// readAll takes every packet and checks how the stream ends.
func readAll(t testing.TB, c *Conn) (packets []protocol.Packet, end error) {
	for {
		kind, body, err := c.Next()
		if err != nil {
			if c.in.current != nil || c.shared.memory.held.Load() != 0 {
				t.Fatalf("%v: buffers left", err)
			}
			return packets, err
		}
		if !kind.Valid() || len(body) > fuzzLimit {
			t.Fatalf("packet of type %d with %d bytes", kind, len(body))
		}
		packets = append(packets, protocol.Packet{Type: kind, Body: append([]byte(nil), body...)})
	}
}

func oneOf(err error, all ...error) bool {
	for _, e := range all {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// checkStream compares what comes out of a sliced stream with a plain decoder.
func checkStream(t testing.TB, stream []byte, piece int) {
	t.Helper()
	packets, end := readAll(t, slicedConn(t, stream, piece))
	if !oneOf(end, io.EOF, ErrWrongType, ErrTooLarge, ErrHeader, ErrShort) {
		t.Fatalf("ended with %v", end)
	}
	for i, rest := 0, stream; ; i++ {
		kind, n, err := protocol.ParseHeader(rest)
		if err != nil || n > fuzzLimit || len(rest) < protocol.HeaderSize+n {
			if i != len(packets) {
				t.Fatalf("%d packets, want %d", len(packets), i)
			}
			if (len(rest) == 0) != errors.Is(end, io.EOF) {
				t.Fatalf("ended with %v", end)
			}
			return
		}
		if i >= len(packets) || packets[i].Type != kind || string(packets[i].Body) != string(rest[4:4+n]) {
			t.Fatalf("packet %d differs", i)
		}
		rest = rest[protocol.HeaderSize+n:]
	}
}

// checkFrames compares what comes out of a sliced WebSocket stream with what
// another library's reader of frames makes of it.
func checkFrames(t testing.TB, stream []byte, piece int) {
	t.Helper()
	c := slicedConn(t, bytes.Clone(stream), piece)
	c.frames = &frameReader{}
	packets, end := readAll(t, c)
	if !oneOf(end, io.EOF, ErrWrongType, ErrTooLarge, ErrHeader, ErrShort, ErrTrailing, ErrFrame, ErrFlood, ErrPeerClosed) {
		t.Fatalf("ended with %v", end)
	}
	want := packetsOf(bytes.NewReader(stream))
	if len(packets) != len(want) && !errors.Is(end, ErrFlood) {
		t.Fatalf("%d packets (%v), want %d", len(packets), end, len(want))
	}
	for i := range packets {
		if packets[i].Type != want[i].Type || string(packets[i].Body) != string(want[i].Body) {
			t.Fatalf("packet %d differs", i)
		}
	}
}

// packetsOf are the packets of a client's WebSocket stream, one a message, up
// to its first fault.
func packetsOf(r io.Reader) (packets []protocol.Packet) {
	var message []byte
	for open := false; ; {
		h, err := ws.ReadHeader(r)
		most := int64(fuzzLimit + protocol.HeaderSize - len(message))
		if h.OpCode.IsControl() {
			most = ws.MaxControlFramePayloadSize
		}
		if err != nil || !h.Masked || h.Rsv != 0 || h.OpCode.IsReserved() || h.OpCode == ws.OpClose ||
			h.Length > most || h.OpCode.IsControl() && !h.Fin {
			return packets
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			return packets
		}
		if h.OpCode.IsControl() {
			continue
		}
		if open != (h.OpCode == ws.OpContinuation) {
			return packets
		}
		ws.Cipher(payload, h.Mask, 0)
		message, open = append(message, payload...), !h.Fin
		if open {
			continue
		}
		kind, n, err := protocol.ParseHeader(message)
		if err != nil || n > fuzzLimit || len(message) != protocol.HeaderSize+n {
			return packets
		}
		packets = append(packets, protocol.Packet{Type: kind, Body: message[protocol.HeaderSize:]})
		message = nil
	}
}

func FuzzTCPStream(f *testing.F) {
	for _, v := range packetVectors(f) {
		f.Add(v, byte(1))
		f.Add(append(append([]byte(nil), v...), v...), byte(7))
	}
	f.Add(append([]byte{4, 0, 0x80, 0}, make([]byte, 1<<15)...), byte(50))
	f.Fuzz(func(t *testing.T, stream []byte, piece byte) { checkStream(t, stream, int(piece)) })
}

func FuzzWebSocketStream(f *testing.F) {
	for _, v := range packetVectors(f) {
		f.Add(clientFrame(finBit|opBinary, v), byte(1))
		f.Add(append(clientFrame(opText, v[:len(v)/2]), clientFrame(finBit|opContinue, v[len(v)/2:])...), byte(3))
	}
	f.Add(append(clientFrame(finBit|opPing, []byte("abc")), closeFrame(CloseNormal)...), byte(2))
	f.Add(clientFrame(finBit|opBinary, append([]byte{4, 0, 0x80, 0}, make([]byte, 1<<15)...)), byte(60))
	f.Fuzz(func(t *testing.T, stream []byte, piece byte) { checkFrames(t, stream, int(piece)) })
}

func FuzzProxyHeader(f *testing.F) {
	f.Add(proxyHeader(f, 1, "203.0.113.7:4711"))
	f.Add(proxyHeader(f, 2, "[2001:db8::1]:4711"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &counted{b: b}
		header, err := readProxyBytes(r)
		if err != nil {
			return
		}
		if len(header) != r.read || len(header) > proxyMost+16 {
			t.Fatalf("read %d bytes for a header of %d", r.read, len(header))
		}
		_, _ = parseProxyHeader(header)
	})
}

// counted is a reader that counts.
type counted struct {
	b    []byte
	read int
}

func (r *counted) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.read:])
	r.read += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func FuzzUpgrade(f *testing.F) {
	f.Add([]byte(upgradeRequest+"\r\n"), byte(1))
	f.Add([]byte(upgradeRequest+"Origin: https://a.example\r\n\r\n\x82\x80"), byte(100))
	f.Fuzz(func(t *testing.T, b []byte, piece byte) {
		s := newServer(TransportWebSocket, "", []Option{WithOrigins("https://a.example")})
		o := opening{server: s, nc: &piecewise{counted: counted{b: b}, piece: int(piece) + 1}}
		_ = o.upgrade()
	})
}

// piecewise is a net.Conn that gives few bytes at a time.
type piecewise struct {
	net.Conn
	counted
	piece int
}

func (p *piecewise) Read(b []byte) (int, error)  { return p.counted.Read(b[:min(len(b), p.piece)]) }
func (p *piecewise) Write(b []byte) (int, error) { return len(b), nil }
