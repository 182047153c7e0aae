package acceptor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

const upgradeRequest = "GET /any/path?x=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func dialTLS(t testing.TB, address string, config *tls.Config) *tls.Conn {
	t.Helper()
	conn := tls.Client(dialTCP(t, address), config)
	require.NoError(t, conn.Handshake())
	return conn
}

// bufferedConn reads through what the upgrade's reader holds.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// dialUpgrade opens a WebSocket by hand, for raw frames.
func dialUpgrade(t testing.TB, nc net.Conn, headers ...string) net.Conn {
	t.Helper()
	_, err := io.WriteString(nc, upgradeRequest+strings.Join(append(headers, "", ""), "\r\n"))
	require.NoError(t, err)
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", res.Header.Get("Sec-WebSocket-Accept"))
	require.Empty(t, res.Header.Get("Sec-WebSocket-Extensions"))
	require.Empty(t, res.Header.Get("Sec-WebSocket-Protocol"))
	return &bufferedConn{Conn: nc, r: r}
}

// clientFrame is a masked frame; first holds FIN, reserved bits and opcode.
func clientFrame(first byte, payload []byte) []byte {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, maskBit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i, p := range payload {
		b = append(b, p^key[i&3])
	}
	return b
}

// serverFrame reads one frame of the server.
func serverFrame(t testing.TB, r io.Reader) (opcode byte, payload []byte) {
	t.Helper()
	h := make([]byte, 2)
	_, err := io.ReadFull(r, h)
	require.NoError(t, err)
	require.Equal(t, byte(finBit), h[0]&0xf0, "final, no reserved bits")
	n := int(h[1])
	if n >= 126 {
		ext := make([]byte, 2+6*(n-126))
		_, err = io.ReadFull(r, ext)
		require.NoError(t, err)
		n = int(new(bigEndian).set(ext))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	require.NoError(t, err)
	return h[0] & 0x0f, payload
}

type bigEndian uint64

func (v *bigEndian) set(b []byte) uint64 {
	for _, x := range b {
		*v = *v<<8 | bigEndian(x)
	}
	return uint64(*v)
}

func closeFrame(code CloseCode) []byte {
	return clientFrame(finBit|opClose, binary.BigEndian.AppendUint16(nil, uint16(code)))
}

func TestRawFrames(t *testing.T) {
	t.Parallel()
	heartbeat := packetOf(t, protocol.PacketHeartbeat, nil)
	data := packetOf(t, protocol.PacketData, []byte("abcdef"))
	unmasked := append([]byte{finBit | opBinary, byte(len(data))}, data...)
	negative := append([]byte{finBit | opBinary, maskBit | 127}, bytes.Repeat([]byte{0xff}, 12)...)
	huge := append([]byte{finBit | opBinary, maskBit | 127, 0, 0, 1, 0, 0, 0, 0, 0}, 1, 2, 3, 4)
	var endless, empty, parts []byte
	for i := range mostFragments + 1 {
		first := byte(opContinue)
		if i == 0 {
			first = opBinary
		}
		empty = append(empty, clientFrame(first, nil)...)
		endless = append(endless, clientFrame(first, make([]byte, 100))...)
	}
	parts = append(parts, clientFrame(opBinary, data[:3])...)
	parts = append(parts, clientFrame(opContinue, nil)...)
	parts = append(parts, clientFrame(finBit|opPing, []byte("mid"))...)
	parts = append(parts, clientFrame(opContinue, data[3:5])...)
	parts = append(parts, clientFrame(finBit|opContinue, data[5:])...)
	var flood []byte
	for range mostControls + 1 {
		flood = append(flood, clientFrame(finBit|opPong, nil)...)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, tc := range []struct {
		name    string
		sent    []byte
		packets int
		want    error
		code    CloseCode
	}{
		{"binary", clientFrame(finBit|opBinary, data), 1, nil, 0},
		{"text", clientFrame(finBit|opText, data), 1, nil, 0},
		{"many in a segment", bytes.Repeat(clientFrame(finBit|opBinary, data), 50), 50, nil, 0},
		{"fragments with a ping between", join(parts, parts), 2, nil, 0},
		{"pong nobody asked for", join(clientFrame(finBit|opPong, []byte("x")), clientFrame(finBit|opBinary, data)), 1, nil, 0},
		{"unmasked", unmasked, 0, ErrFrame, closeOfTest},
		{"negative length", negative, 0, ErrFrame, closeOfTest},
		{"huge length", huge, 0, ErrTooLarge, closeOfTest},
		{"opcode 3", clientFrame(finBit|3, data), 0, ErrFrame, closeOfTest},
		{"opcode 11", clientFrame(finBit|11, nil), 0, ErrFrame, closeOfTest},
		{"opcode 15", clientFrame(finBit|15, nil), 0, ErrFrame, closeOfTest},
		{"rsv1", clientFrame(finBit|0x40|opBinary, data), 0, ErrFrame, closeOfTest},
		{"rsv2", clientFrame(finBit|0x20|opBinary, data), 0, ErrFrame, closeOfTest},
		{"rsv3", clientFrame(finBit|0x10|opPing, nil), 0, ErrFrame, closeOfTest},
		{"endless fragments", endless, 0, ErrTooLarge, closeOfTest},
		{"endless empty fragments", empty, 0, ErrFlood, closeOfTest},
		{"continuation first", clientFrame(finBit|opContinue, data), 0, ErrFrame, closeOfTest},
		{"new message in a message", join(clientFrame(opBinary, data[:2]), clientFrame(finBit|opBinary, data)), 0, ErrFrame, closeOfTest},
		{"fragmented ping", clientFrame(opPing, nil), 0, ErrFrame, closeOfTest},
		{"long ping", clientFrame(finBit|opPing, make([]byte, 126)), 0, ErrFrame, closeOfTest},
		{"flood of pongs", flood, 0, ErrFlood, closeOfTest},
		{"two packets in a message", clientFrame(finBit|opBinary, join(heartbeat, heartbeat)), 0, ErrTrailing, closeOfTest},
		{"empty message", clientFrame(finBit|opBinary, nil), 0, ErrHeader, closeOfTest},
		{"short header", clientFrame(finBit|opBinary, heartbeat[:3]), 0, ErrHeader, closeOfTest},
		{"packet over two messages", join(clientFrame(finBit|opBinary, data[:6]), clientFrame(finBit|opBinary, data[6:])), 0, ErrShort, closeOfTest},
		{"wrong packet type", clientFrame(finBit|opBinary, []byte{6, 0, 0, 0}), 0, ErrWrongType, closeOfTest},
		{"S02 packet announces more than the limit", clientFrame(finBit|opBinary, []byte{4, 0xff, 0xff, 0xff}), 0, ErrTooLarge, closeOfTest},
		{"message above the limit", clientFrame(finBit|opBinary, make([]byte, DefaultHandshakeBody+5)), 0, ErrTooLarge, closeOfTest},
		{"close", closeFrame(CloseNormal), 0, ErrPeerClosed, CloseNormal},
		{"close 4000", closeFrame(4000), 0, ErrPeerClosed, 4000},
		{"close without code", clientFrame(finBit|opClose, nil), 0, ErrPeerClosed, CloseNormal},
		{"close with half a code", clientFrame(finBit|opClose, []byte{3}), 0, ErrFrame, closeOfTest},
		{"close with a reason", clientFrame(finBit|opClose, []byte("\x03\xe8bye")), 0, ErrPeerClosed, CloseNormal},
		{"close with a reason that is no UTF-8", clientFrame(finBit|opClose, []byte("\x03\xe8\xff")), 0, ErrFrame, closeOfTest},
		{"close 1005", closeFrame(1005), 0, ErrFrame, closeOfTest},
		{"close 999", closeFrame(999), 0, ErrFrame, closeOfTest},
		{"close in a message", join(clientFrame(opBinary, data[:2]), closeFrame(CloseGoingAway)), 0, ErrPeerClosed, CloseGoingAway},
	} {
		for _, step := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s/step %d", tc.name, step), func(t *testing.T) {
				t.Parallel()
				ends := make(chan error, 1)
				got := make(chan int, 1)
				address := serve(t, NewWebSocket("127.0.0.1:0"), func(c *Conn) {
					n := 0
					for {
						kind, body, err := c.Next()
						if err != nil {
							got <- n
							ends <- err
							_ = c.Close(CloseStatus{Code: closeOfTest})
							return
						}
						if kind == protocol.PacketData && string(body) == "abcdef" {
							n++
						}
					}
				})
				nc := dialUpgrade(t, dialTCP(t, address))
				go func() {
					for at := 0; at < len(tc.sent); {
						n := len(tc.sent) - at
						if step > 0 {
							n = min(n, step)
						}
						if _, err := nc.Write(tc.sent[at : at+n]); err != nil {
							return
						}
						at += n
					}
					if tc.want == nil {
						_ = nc.(*bufferedConn).Conn.(*net.TCPConn).CloseWrite()
					}
				}()
				want := tc.want
				if want == nil {
					want = io.EOF
				}
				require.ErrorIs(t, receive(t, ends), want)
				require.Equal(t, tc.packets, <-got)
				if tc.code == 0 {
					return
				}
				opcode, payload := byte(opPong), []byte(nil)
				for opcode == opPong {
					opcode, payload = serverFrame(t, nc)
				}
				require.Equal(t, byte(opClose), opcode)
				require.Equal(t, tc.code, CloseCode(binary.BigEndian.Uint16(payload)))
				readToEnd(t, nc)
			})
		}
	}
}

func TestPingIsAnsweredAndBounded(t *testing.T) {
	t.Parallel()
	for _, tr := range transports()[2:4] {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, dial := tr.new(t)
			ends := make(chan error, 1)
			serve(t, a, echo(ends))
			nc := dial()
			var all []byte // in one write: the bound is of a second
			for i := range 20 {
				all = append(all, clientFrame(finBit|opPing, []byte{byte(i)})...)
			}
			packet := packetOf(t, protocol.PacketHeartbeat, nil)
			_, err := nc.Write(append(all, clientFrame(finBit|opBinary, packet)...))
			require.NoError(t, err)
			pongs := 0
			for {
				opcode, payload := serverFrame(t, nc)
				if opcode == opBinary {
					require.Equal(t, packet, payload)
					break
				}
				require.Equal(t, byte(opPong), opcode)
				require.Equal(t, []byte{byte(pongs)}, payload)
				pongs++
			}
			require.Equal(t, mostPongs, pongs)
		})
	}
}

func TestControlFramesGoThroughTheHook(t *testing.T) {
	t.Parallel()
	frames := make(chan []byte, 4)
	ends := make(chan error, 1)
	address := serve(t, NewWebSocket("127.0.0.1:0"), func(c *Conn) {
		c.OnControl(func(frame []byte) { frames <- frame })
		_, _, err := c.Next()
		ends <- err
	})
	nc := dialUpgrade(t, dialTCP(t, address))
	_, err := nc.Write(append(clientFrame(finBit|opPing, []byte("a")), closeFrame(CloseGoingAway)...))
	require.NoError(t, err)
	require.Equal(t, []byte{finBit | opPong, 1, 'a'}, receive(t, frames))
	require.ErrorIs(t, receive(t, ends), ErrPeerClosed)
	require.Equal(t, []byte{finBit | opClose, 2, 3, 0xe9}, readToEnd(t, nc), "nothing is written behind the answer to a close frame")
}

// TestControlFramesKeepOutOfFrames: while half a frame is out, a ping is not
// answered and Close sends no close frame.
func TestControlFramesKeepOutOfFrames(t *testing.T) {
	t.Parallel()
	address, conns := oneConn(t, NewWebSocket("127.0.0.1:0"))
	nc := dialUpgrade(t, dialTCP(t, address))
	c := receive(t, conns)
	frame := c.AppendFrame(nil, packetOf(t, protocol.PacketData, make([]byte, 16<<20-1)))
	n, err := c.TryWrite(frame)
	require.NoError(t, err)
	require.Less(t, n, len(frame))
	_, err = nc.Write(append(clientFrame(finBit|opPing, []byte("a")), clientFrame(finBit|opBinary, packetOf(t, protocol.PacketHeartbeat, nil))...))
	require.NoError(t, err)
	_, _, err = c.Next()
	require.NoError(t, err)
	require.NoError(t, c.Close(CloseStatus{Code: CloseGoingAway}))
	got := readToEnd(t, nc)
	require.LessOrEqual(t, len(got), n)
	require.True(t, bytes.Equal(frame[:len(got)], got))
}

func TestS06_Origin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		origins []string
		sent    string
		status  int
	}{
		{"no list", nil, "Origin: https://evil.example", http.StatusSwitchingProtocols},
		{"listed", []string{"https://play.example.com"}, "Origin: https://PLAY.example.com", http.StatusSwitchingProtocols},
		{"foreign", []string{"https://play.example.com"}, "Origin: https://evil.example", http.StatusForbidden},
		{"other scheme", []string{"https://play.example.com"}, "Origin: http://play.example.com", http.StatusForbidden},
		{"null", []string{"https://play.example.com"}, "Origin: null", http.StatusForbidden},
		{"empty list", []string{}, "Origin: https://play.example.com", http.StatusForbidden},
		{"star", []string{"https://*.example.com:8443"}, "Origin: https://eu.play.example.com:8443", http.StatusSwitchingProtocols},
		{"star is not the bare host", []string{"https://*.example.com"}, "Origin: https://.example.com", http.StatusForbidden},
		{"star is not a suffix", []string{"https://*.example.com"}, "Origin: https://evilexample.com", http.StatusForbidden},
		{"no browser", []string{"https://play.example.com"}, "X-Any: 1", http.StatusSwitchingProtocols},
		{"one of two foreign", []string{"https://play.example.com"}, "Origin: https://play.example.com\r\nOrigin: https://evil.example", http.StatusForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var opts []Option
			if tc.origins != nil {
				opts = append(opts, WithOrigins(tc.origins...))
			}
			nc := dialTCP(t, serve(t, NewWebSocket("127.0.0.1:0", opts...), echo(make(chan error, 1))))
			_, err := io.WriteString(nc, upgradeRequest+tc.sent+"\r\n\r\n")
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(nc), nil)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, tc.status, res.StatusCode)
		})
	}
}

func TestUpgradeRefusals(t *testing.T) {
	t.Parallel()
	key := "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for name, tc := range map[string]struct {
		sent   string
		status string
	}{
		"tls hello":        {"\x16\x03\x01\x02", ""},
		"a packet":         {"\x01\x00\x00\x00", ""},
		"lower case":       {"get / HTTP/1.1\r\n", ""},
		"post":             {strings.Replace(upgradeRequest, "GET", "POST", 1) + "\r\n", "HTTP/1.1 405"},
		"no upgrade":       {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 4"},
		"no key":           {strings.Replace(upgradeRequest, key, "", 1) + "\r\n", "HTTP/1.1 400"},
		"version 8":        {strings.Replace(upgradeRequest, "13", "8", 1) + "\r\n", "HTTP/1.1 426"},
		"garbage":          {"NONSENSE\r\n\r\n", ""},
		"headers too long": {upgradeRequest + "X: " + strings.Repeat("x", DefaultHTTPHeader) + "\r\n\r\n", "HTTP/1.1 431"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counts := &tally{}
			nc := dialTCP(t, serve(t, NewWebSocket("127.0.0.1:0", WithMetrics(counts)), func(*Conn) { panic("opened") }))
			_, err := io.WriteString(nc, tc.sent)
			require.NoError(t, err)
			answer := string(readToEnd(t, nc))
			require.True(t, strings.HasPrefix(answer, tc.status) && (answer == "") == (tc.status == ""), answer)
			require.Eventually(t, func() bool { return counts.refusals(RefusedHTTP) == 1 }, patience, time.Millisecond)
		})
	}
}

func TestFrameBehindTheUpgradeRequestIsNotLost(t *testing.T) {
	t.Parallel()
	address := serve(t, NewWebSocket("127.0.0.1:0"), echo(make(chan error, 1)))
	nc := dialTCP(t, address)
	packet := packetOf(t, protocol.PacketData, bytes.Repeat([]byte("y"), 700))
	frame := clientFrame(finBit|opBinary, packet)
	_, err := io.WriteString(nc, upgradeRequest+"\r\n"+string(frame[:100]))
	require.NoError(t, err)
	r := bufio.NewReader(nc)
	_, err = http.ReadResponse(r, nil)
	require.NoError(t, err)
	_, err = nc.Write(frame[100:])
	require.NoError(t, err)
	opcode, payload := serverFrame(t, r)
	require.Equal(t, byte(opBinary), opcode)
	require.Equal(t, packet, payload)
}

func TestPingInPiecesLeavesNoDeadline(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 1)
	address := serve(t, NewWebSocket("127.0.0.1:0", WithLimits(Limits{HandshakePacket: 1500 * time.Millisecond})), echo(ends))
	nc := dialUpgrade(t, dialTCP(t, address))
	ping := clientFrame(finBit|opPing, []byte("abc"))
	_, err := nc.Write(ping[:3])
	require.NoError(t, err)
	timer := time.NewTimer(50 * time.Millisecond)
	<-timer.C
	_, err = nc.Write(ping[3:])
	require.NoError(t, err)
	serverFrame(t, nc)
	timer.Reset(1600 * time.Millisecond)
	<-timer.C
	require.Empty(t, ends)
	_, err = nc.Write(clientFrame(opBinary, []byte{4}))
	require.NoError(t, err)
	require.ErrorIs(t, receive(t, ends), ErrSlow, "an unfinished message has one")
}

// TestWebSocketAgainstCoder talks to an independent implementation.
func TestWebSocketAgainstCoder(t *testing.T) {
	t.Parallel()
	server, client := tlsConfigs(t)
	for name, a := range map[string]Acceptor{
		"ws":  NewWebSocket("127.0.0.1:0"),
		"wss": NewWebSocket("127.0.0.1:0", WithTLS(server)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ends := make(chan error, 1)
			address := serve(t, a, func(c *Conn) {
				c.Established()
				echo(ends)(c)
			})
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			transport := &http.Transport{TLSClientConfig: client}
			conn, res, err := websocket.Dial(ctx, name+"://"+address+"/some/path", &websocket.DialOptions{
				HTTPClient:      &http.Client{Transport: transport},
				CompressionMode: websocket.CompressionContextTakeover,
				Subprotocols:    []string{"game"},
				Host:            "localhost",
			})
			require.NoError(t, err)
			defer transport.CloseIdleConnections()
			require.Empty(t, res.Header.Get("Sec-WebSocket-Extensions"))
			conn.SetReadLimit(1 << 20)
			for _, size := range []int{0, 1, 117, 121, 122, 1000, 16300, 65000, DefaultBody} {
				packet := packetOf(t, protocol.PacketData, bytes.Repeat([]byte{7}, size))
				require.NoError(t, conn.Write(ctx, websocket.MessageBinary, packet))
				kind, got, err := conn.Read(ctx)
				require.NoError(t, err)
				require.Equal(t, websocket.MessageBinary, kind)
				require.True(t, bytes.Equal(packet, got))
			}
			w, err := conn.Writer(ctx, websocket.MessageText)
			require.NoError(t, err)
			packet := packetOf(t, protocol.PacketData, make([]byte, 5000))
			for i := 0; i < len(packet); i += 1000 {
				_, err = w.Write(packet[i:min(i+1000, len(packet))])
				require.NoError(t, err)
			}
			require.NoError(t, w.Close())
			_, got, err := conn.Read(ctx)
			require.NoError(t, err)
			require.True(t, bytes.Equal(packet, got))
			reading := conn.CloseRead(ctx)
			require.NoError(t, conn.Ping(ctx))
			require.NoError(t, reading.Err())
			require.NoError(t, conn.Close(websocket.StatusNormalClosure, "bye"))
			require.ErrorIs(t, receive(t, ends), ErrPeerClosed)
		})
	}
}

func TestCloseTellsTheClientWhy(t *testing.T) {
	t.Parallel()
	for _, tr := range transports()[2:4] {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, dial := tr.new(t)
			_, conns := oneConn(t, a)
			nc := dial()
			c := receive(t, conns)
			reason := strings.Repeat("ä", 100)
			require.NoError(t, c.Close(CloseStatus{Code: CloseGoingAway, Reason: reason}))
			opcode, payload := serverFrame(t, nc)
			require.Equal(t, byte(opClose), opcode)
			require.Equal(t, CloseGoingAway, CloseCode(binary.BigEndian.Uint16(payload)))
			require.Equal(t, reason[:122], string(payload[2:]))
			readToEnd(t, nc)
		})
	}
}

func TestCloseWriteSendsACloseFrame(t *testing.T) {
	t.Parallel()
	for _, tr := range transports()[2:4] {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			a, dial := tr.new(t)
			_, conns := oneConn(t, a)
			nc := dial()
			c := receive(t, conns)
			require.NoError(t, c.CloseWrite())
			opcode, _ := serverFrame(t, nc)
			require.Equal(t, byte(opClose), opcode)
			require.Empty(t, readToEnd(t, nc))
			_, err := nc.Write(closeFrame(CloseNormal))
			require.NoError(t, err)
			_, _, err = c.Next()
			require.ErrorIs(t, err, ErrPeerClosed)
		})
	}
}

const nodeFlag = "--experimental-websocket" // needed by Node 20, known by later ones

const nodeClient = `
const ws = new WebSocket(process.argv[1], ["game"]);
ws.binaryType = "arraybuffer";
ws.onerror = e => { console.log("error", e.message); process.exit(1); };
const sizes = [0, 1, 200, 5000, 60000];
const send = () => {
  const n = sizes[0];
  const p = new Uint8Array(4 + n).fill(9);
  p[0] = 4; p[1] = n >> 16; p[2] = n >> 8; p[3] = n;
  ws.send(p);
};
ws.onopen = send;
ws.onmessage = e => {
  const got = new Uint8Array(e.data), n = sizes.shift();
  if (got.length !== n + 4 || got[0] !== 4 || (n && got[n + 3] !== 9)) { console.log("bad echo"); process.exit(1); }
  sizes.length ? send() : ws.close(3001, "done");
};
ws.onclose = e => { console.log("closed", e.code, e.wasClean); };
`

// TestWebSocketAgainstNode talks to the client that browsers' cousins ship.
func TestWebSocketAgainstNode(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node")
	}
	if out, err := exec.Command(node, nodeFlag, "-p", "typeof WebSocket").Output(); err != nil || !bytes.Contains(out, []byte("function")) {
		t.Skip("node has no WebSocket")
	}
	ends := make(chan error, 8)
	address := serve(t, NewWebSocket("127.0.0.1:0"), func(c *Conn) {
		c.Established()
		echo(ends)(c)
	})
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, _ := exec.CommandContext(ctx, node, nodeFlag, "-e", nodeClient, "ws://"+address+"/").CombinedOutput()
	require.Contains(t, string(out), "error", "node asked for a subprotocol and got none: "+string(out))
	plain := strings.Replace(nodeClient, `, ["game"]`, "", 1)
	out, err = exec.CommandContext(ctx, node, nodeFlag, "-e", plain, "ws://"+address+"/").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, "closed 3001 true\n", string(out))
}
