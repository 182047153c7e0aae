package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/cereus-game/cereus/protocol"
)

// Transports that the load speaks.
const (
	overTCP  = "tcp"
	overTLS  = "tls"
	overWS   = "ws"
	overWSS  = "wss"
	bareEcho = "bare" // TCP without a handshake
)

// target is a server to be loaded.
type target struct {
	Address   string
	Transport string
}

// link is one raw connection of the load: packets go out as they were encoded
// before, and are counted on their way in.
type link struct {
	net.Conn
	frame func(dst, packet []byte) []byte
	cut   func(b []byte) (packet []byte, size int)
	buf   []byte
	have  int
}

// dial connects, and does the game's handshake where there is one. source is
// the address to come from; nil leaves it to the system.
func dial(ctx context.Context, t target, source *net.TCPAddr) (*link, error) {
	d := net.Dialer{}
	if source != nil {
		d.LocalAddr = source
	}
	l := &link{frame: appendPlain, cut: cutPacket}
	var err error
	switch t.Transport {
	case overWS, overWSS:
		l.frame, l.cut = appendFrame, cutFrame
		l.Conn, _, _, err = ws.Dialer{NetDial: d.DialContext, TLSConfig: unverified()}.Dial(ctx, t.Transport+"://"+t.Address+"/")
	case overTLS:
		l.Conn, err = (&tls.Dialer{NetDialer: &d, Config: unverified()}).DialContext(ctx, "tcp", t.Address)
	default:
		l.Conn, err = dialTCP(t.Address, source)
	}
	if err != nil || t.Transport == bareEcho {
		return l, err
	}
	if err := l.shakeHands(); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// dialTCP connects on loopback, where nothing is to be waited for: a dialer with a
// context starts a goroutine for each connection, to wait for its end.
func dialTCP(address string, source *net.TCPAddr) (net.Conn, error) {
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	return net.DialTCP("tcp", source, to)
}

func appendPlain(dst, packet []byte) []byte { return append(dst, packet...) }

// shakeHands is wire.md 2.1: handshake, its response, ack.
func (l *link) shakeHands() error {
	if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := l.send(protocol.PacketHandshake, []byte(`{"sys":{"platform":"bench","libVersion":"1"},"user":{}}`)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for have := 0; ; {
		n, err := l.Read(buf[have:])
		if err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		have += n
		if packet, size := l.cut(buf[:have]); size > 0 {
			if protocol.PacketType(packet[0]) != protocol.PacketHandshake {
				return fmt.Errorf("handshake: %w: %q", errRefused, packet)
			}
			break
		}
	}
	if err := l.send(protocol.PacketHandshakeAck, nil); err != nil {
		return err
	}
	return l.SetDeadline(time.Time{})
}

func (l *link) send(kind protocol.PacketType, body []byte) error {
	packet, err := protocol.AppendPacket(nil, kind, body)
	if err != nil {
		return err
	}
	_, err = l.Write(l.frame(nil, packet))
	return err
}

// receive reads once and returns how many messages with the flag that brought.
func (l *link) receive(flag byte) (int, error) {
	if l.buf == nil {
		l.buf = make([]byte, 4096)
	}
	if l.have == len(l.buf) {
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
	}
	n, err := l.Read(l.buf[l.have:])
	if err != nil {
		return 0, err
	}
	l.have += n
	rest, count := l.buf[:l.have], 0
	for packet, size := l.cut(rest); size > 0; packet, size = l.cut(rest) {
		rest = rest[size:]
		wanted, err := countData(packet, flag)
		if err != nil {
			return 0, err
		}
		count += wanted
	}
	l.have = copy(l.buf, rest)
	return count, nil
}

// request sends one request and waits for its response.
func (l *link) request(route string, data []byte) error {
	packet, err := requestPacket(1, route, data)
	if err != nil {
		return err
	}
	if _, err := l.Write(l.frame(nil, packet)); err != nil {
		return err
	}
	for {
		if n, err := l.receive(flagResponse); err != nil || n > 0 {
			return err
		}
	}
}
