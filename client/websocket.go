package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/cereus-game/cereus/protocol"
)

// goodbye is how long closing waits for the other side.
const goodbye = time.Second

// webSocket is the transport over WebSocket: one packet per message (wire.md 1.4).
type webSocket struct {
	conn *websocket.Conn
	raw  net.Conn
	buf  []byte
}

var _ transport = (*webSocket)(nil)

func dialWebSocket(ctx context.Context, addr string, s *settings) (transport, error) {
	host, err := hostOf(addr)
	if err != nil {
		return nil, err
	}
	w := &webSocket{buf: make([]byte, 0, readBuffer)}
	rt := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: s.tlsFor(host),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			w.raw = conn
			return conn, err
		},
	}
	defer rt.CloseIdleConnections()
	conn, resp, err := websocket.Dial(ctx, addr, &websocket.DialOptions{HTTPClient: &http.Client{Transport: rt}})
	if err != nil {
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, err
	}
	conn.SetReadLimit(int64(s.maxPacket) + protocol.HeaderSize)
	w.conn = conn
	return w, nil
}

func (w *webSocket) next() (protocol.PacketType, []byte, error) {
	_, r, err := w.conn.Reader(context.Background())
	if err != nil {
		return 0, nil, err
	}
	message, err := w.readAll(r)
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return 0, nil, violated(protocol.ErrPacketTooLarge)
	}
	if err != nil {
		return 0, nil, err
	}
	kind, n, err := protocol.ParseHeader(message)
	if err != nil {
		return 0, nil, violated(err)
	}
	body := message[protocol.HeaderSize:]
	if len(body) != n {
		return 0, nil, violated(fmt.Errorf("a WebSocket message with %d bytes of a packet of %d", len(body), n))
	}
	return kind, body, nil
}

// readAll reads a message into the buffer, which it lets grow as bytes come.
func (w *webSocket) readAll(r io.Reader) ([]byte, error) {
	if cap(w.buf) > keptBuffer {
		w.buf = make([]byte, 0, readBuffer)
	}
	w.buf = w.buf[:0]
	for {
		if len(w.buf) == cap(w.buf) {
			w.buf = append(w.buf, 0)[:len(w.buf)]
		}
		n, err := r.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		if err == io.EOF {
			return w.buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (w *webSocket) write(packets []byte) error {
	for len(packets) > 0 {
		_, n, err := protocol.ParseHeader(packets)
		if err != nil {
			return err
		}
		n += protocol.HeaderSize
		if err := w.conn.Write(context.Background(), websocket.MessageBinary, packets[:n]); err != nil {
			return err
		}
		packets = packets[n:]
	}
	return nil
}

func (w *webSocket) close() {
	late := time.AfterFunc(goodbye, func() { _ = w.raw.Close() })
	defer late.Stop()
	_ = w.conn.Close(websocket.StatusNormalClosure, "")
}

func (w *webSocket) abort() {
	_ = w.raw.Close()
	_ = w.conn.CloseNow()
}

func (w *webSocket) remoteAddr() net.Addr { return w.raw.RemoteAddr() }
