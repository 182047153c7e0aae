package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/protocol"
)

const long = 20 * time.Second

// peer is the server's side of one connection.
type peer struct {
	t    *testing.T
	conn net.Conn
	ws   *websocket.Conn // nil on TCP
	dict *protocol.Dictionary
}

// script is what a fake server does with a connection; returning closes it.
type script func(p *peer)

// serve runs a fake server and returns its address with scheme.
func serve(t *testing.T, scheme string, do script) string {
	t.Helper()
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	if scheme == "ws" || scheme == "wss" {
		return serveWebSocket(t, scheme, &running, do)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if scheme == "tls" {
		l = tls.NewListener(l, serverTLS(t))
	}
	t.Cleanup(func() { _ = l.Close() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(2 * long))
				do(&peer{t: t, conn: conn})
			})
		}
	})
	return scheme + "://" + l.Addr().String()
}

func serveWebSocket(t *testing.T, scheme string, running *sync.WaitGroup, do script) string {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		c, err := websocket.Accept(w, r, nil)
		if !assert.NoError(t, err) {
			return
		}
		c.SetReadLimit(1 << 24)
		defer c.CloseNow()
		ctx, cancel := context.WithTimeout(context.Background(), 2*long)
		defer cancel()
		do(&peer{t: t, ws: c, conn: websocket.NetConn(ctx, c, websocket.MessageBinary)})
	})
	s := httptest.NewUnstartedServer(handler)
	if scheme == "wss" {
		s.TLS = serverTLS(t)
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return scheme + "://" + strings.SplitN(s.URL, "://", 2)[1] + "/any/path"
}

func serverTLS(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// read returns the next packet that is no heartbeat; ok is false at the end.
func (p *peer) read() (protocol.Packet, bool) {
	for {
		packet, err := protocol.ReadPacket(p.conn, protocol.MaxPacketBody)
		if err != nil {
			return packet, false
		}
		if packet.Type != protocol.PacketHeartbeat {
			return packet, true
		}
	}
}

// message returns the next message; ok is false at the end.
func (p *peer) message() (protocol.Message, bool) {
	for {
		packet, ok := p.read()
		if !ok {
			return protocol.Message{}, false
		}
		if packet.Type != protocol.PacketData {
			continue
		}
		m, err := protocol.DecodeMessage(packet.Body, protocol.Decoding{Dictionary: p.dict})
		assert.NoError(p.t, err)
		return m, err == nil
	}
}

func (p *peer) send(kind protocol.PacketType, body []byte) {
	packet, err := protocol.AppendPacket(nil, kind, body)
	assert.NoError(p.t, err)
	_, _ = p.conn.Write(packet)
}

func (p *peer) say(m protocol.Message, enc protocol.Encoding) {
	packet, err := m.AppendPacketTo(nil, enc)
	assert.NoError(p.t, err)
	_, _ = p.conn.Write(packet)
}

func (p *peer) push(route, data string) {
	p.say(protocol.Message{Type: protocol.MessagePush, Route: route, Data: []byte(data)}, protocol.Encoding{Dictionary: p.dict})
}

func (p *peer) respond(id uint64, data string) {
	p.say(protocol.Message{Type: protocol.MessageResponse, ID: id, Data: []byte(data)}, protocol.Encoding{})
}

// welcome does the handshake with r filled up, and waits for the ack.
func (p *peer) welcome(r protocol.HandshakeResponse) *protocol.HandshakeRequest {
	packet, ok := p.read()
	if !ok || !assert.Equal(p.t, protocol.PacketHandshake, packet.Type) {
		return nil
	}
	said, err := protocol.ParseHandshakeRequest(packet.Body)
	assert.NoError(p.t, err)
	if r.Code == 0 {
		r.Code = protocol.HandshakeOK
	}
	if r.Serializer == "" {
		r.Serializer = "json"
	}
	p.dict = r.Dictionary
	body, err := protocol.AppendHandshakeResponse(nil, &r, 1)
	assert.NoError(p.t, err)
	p.send(protocol.PacketHandshake, body)
	packet, ok = p.read()
	assert.True(p.t, ok)
	assert.Equal(p.t, protocol.PacketHandshakeAck, packet.Type)
	return said
}

// untilClosed reads until the client closes.
func (p *peer) untilClosed() {
	for {
		if _, ok := p.read(); !ok {
			return
		}
	}
}

// echo answers requests with their payload until the client closes.
func echo(p *peer) {
	p.welcome(protocol.HandshakeResponse{})
	for m, ok := p.message(); ok; m, ok = p.message() {
		if m.Type == protocol.MessageRequest {
			p.respond(m.ID, string(m.Data))
		}
	}
}

func background(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, addr string, opts ...client.Option) *client.Client {
	t.Helper()
	opts = append([]client.Option{client.WithTLS(&tls.Config{InsecureSkipVerify: true}), client.WithTimeout(long)}, opts...)
	c, err := client.Dial(background(t), addr, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func ended(t *testing.T, c *client.Client) *client.CloseError {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(long):
		require.Fail(t, "the client does not end")
	}
	var reason *client.CloseError
	require.ErrorAs(t, c.Err(), &reason)
	return reason
}
