package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/protocol"
)

// How a bare server writes its answers.
const (
	writeEach  = "each"  // one write per packet
	writeBurst = "burst" // one write for all that one read brought
)

// Buffers of a bare server's connection.
const (
	onePacket   = 4 << 10
	manyPackets = 32 << 10
)

// bareSettings are the start of the role "bare".
type bareSettings struct {
	Write  string
	Buffer int // of a connection, each way, in bytes
}

// bare is the limit: a goroutine per connection that takes packets apart and
// answers them, and nothing else.
type bare struct {
	listener net.Listener
	settings bareSettings
	group    *lifecycle.Group
	shake    []byte // the answer to a handshake

	mu      sync.Mutex // guards what follows
	conns   map[net.Conn]struct{}
	members []net.Conn
}

func startBare(ctx context.Context, s bareSettings) (*bare, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	shake, err := protocol.AppendPacket(nil, protocol.PacketHandshake,
		[]byte(`{"code":200,"sys":{"heartbeat":30,"dict":{},"serializer":"json"}}`))
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	b := &bare{listener: listener, shake: shake, settings: s, group: lifecycle.NewGroup(ctx), conns: make(map[net.Conn]struct{})}
	b.group.Go("accept", b.accept)
	return b, nil
}

func (b *bare) accept(context.Context) {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conns[conn] = struct{}{}
		b.mu.Unlock()
		b.group.Go("serve", func(context.Context) { b.serve(conn) })
	}
}

// hold waits until so many are connected.
func (b *bare) hold(ctx context.Context, conns int) (int, error) {
	return until(ctx, func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.conns)
	}, conns)
}

func (b *bare) stop(ctx context.Context) error {
	err := b.listener.Close()
	b.mu.Lock()
	for conn := range b.conns {
		_ = conn.Close()
	}
	b.mu.Unlock()
	return errors.Join(err, b.group.Stop(ctx))
}

func (b *bare) serve(conn net.Conn) {
	defer b.forget(conn)
	in, out := make([]byte, b.settings.Buffer), make([]byte, 0, b.settings.Buffer)
	have := 0
	for {
		n, err := conn.Read(in[have:])
		if err != nil {
			return
		}
		have += n
		rest := in[:have]
		for packet, size := cutPacket(rest); size > 0; packet, size = cutPacket(rest) {
			rest = rest[size:]
			out = b.answer(conn, out, packet)
			if b.settings.Write == writeEach && !flush(conn, &out) {
				return
			}
		}
		have = copy(in, rest)
		if !flush(conn, &out) {
			return
		}
	}
}

func flush(conn net.Conn, out *[]byte) bool {
	if len(*out) == 0 {
		return true
	}
	_, err := conn.Write(*out)
	*out = (*out)[:0]
	return err == nil
}

// answer appends the response to a request, which carries its data.
func (b *bare) answer(conn net.Conn, out, packet []byte) []byte {
	switch protocol.PacketType(packet[0]) {
	case protocol.PacketHandshake:
		return append(out, b.shake...)
	case protocol.PacketHandshakeAck:
		return out
	}
	body := packet[protocol.HeaderSize:]
	id, n := binary.Uvarint(body[1:])
	routeAt := 2 + n
	route := body[routeAt : routeAt+int(body[1+n])]
	data := body[routeAt+len(route):]
	switch {
	case string(route) == routeJoin:
		b.join(conn)
	case string(route) == routeBroadcast:
		b.broadcast(data)
	}
	start := len(out)
	out = append(out, byte(protocol.PacketData), 0, 0, 0, flagResponse)
	out = binary.AppendUvarint(out, id)
	out = append(out, data...)
	size := len(out) - start - protocol.HeaderSize
	out[start+1], out[start+2], out[start+3] = byte(size>>16), byte(size>>8), byte(size)
	return out
}

func (b *bare) join(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members = append(b.members, conn)
}

// broadcast is bare writes: one packet to every member.
func (b *bare) broadcast(data []byte) {
	m := protocol.Message{Type: protocol.MessagePush, Route: routePush, Data: data}
	packet, err := m.AppendPacketTo(nil, protocol.Encoding{})
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, member := range b.members {
		_, _ = member.Write(packet) // one that left is forgotten by its reader
	}
}

func (b *bare) forget(conn net.Conn) {
	_ = conn.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, conn)
	for i, member := range b.members {
		if member == conn {
			b.members = append(b.members[:i], b.members[i+1:]...)
			return
		}
	}
}
