package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cereus-game/cereus/protocol"
)

// Routes of the servers under test. The bare server knows them too.
const (
	service        = "bench"
	routeEcho      = "bench.echo"
	routeJoin      = "bench.join"
	routeBind      = "bench.bind"
	routeBroadcast = "bench.broadcast"
	routePush      = "bench.push"
	routeForward   = "room.bench.echo"

	routeEnter           = "room.bench.enter"     // joins the backend's group
	routeBroadcastBehind = "room.bench.broadcast" // pushes to that
)

// Flag bytes of what a server sends (wire.md 3.1).
const (
	flagResponse = byte(protocol.MessageResponse) << 1
	flagPush     = byte(protocol.MessagePush) << 1
)

// requestPacket is one request in a packet of its own.
func requestPacket(id uint64, route string, data []byte) ([]byte, error) {
	m := protocol.Message{Type: protocol.MessageRequest, ID: id, Route: route, Data: data}
	return m.AppendPacketTo(nil, protocol.Encoding{})
}

// cutPacket returns the first packet of b and how long it is; 0 when it is not
// complete.
func cutPacket(b []byte) (packet []byte, size int) {
	if len(b) < protocol.HeaderSize {
		return nil, 0
	}
	size = protocol.HeaderSize + (int(b[1])<<16 | int(b[2])<<8 | int(b[3]))
	if len(b) < size {
		return nil, 0
	}
	return b[:size], size
}

// cutFrame is cutPacket for a WebSocket stream without fragments and masks.
func cutFrame(b []byte) (packet []byte, size int) {
	if len(b) < 2 {
		return nil, 0
	}
	header, length := 2, int(b[1])
	switch length {
	case 126:
		if header = 4; len(b) < header {
			return nil, 0
		}
		length = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if header = 10; len(b) < header {
			return nil, 0
		}
		length = int(binary.BigEndian.Uint64(b[2:]))
	}
	if len(b) < header+length {
		return nil, 0
	}
	return b[header : header+length], header + length
}

// appendFrame wraps a packet into a client's frame with a mask that is not zero.
func appendFrame(dst, packet []byte) []byte {
	key := [4]byte{0x9e, 0x37, 0x79, 0xb9}
	dst = append(dst, 0x82)
	if len(packet) < 126 {
		dst = append(dst, 0x80|byte(len(packet)))
	} else {
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(packet)))
	}
	dst = append(dst, key[:]...)
	for i, c := range packet {
		dst = append(dst, c^key[i%len(key)])
	}
	return dst
}

// errRefused: the server ended the connection or answered with an error.
var errRefused = errors.New("the server answered with an error")

// countData counts the messages with the wanted flag: 1 or 0. Heartbeats are
// nothing; anything else is an error.
func countData(packet []byte, flag byte) (int, error) {
	switch protocol.PacketType(packet[0]) {
	case protocol.PacketHeartbeat, protocol.PacketHandshake:
		return 0, nil
	case protocol.PacketData:
		switch {
		case len(packet) > protocol.HeaderSize && packet[protocol.HeaderSize] == flag:
			return 1, nil
		case len(packet) > protocol.HeaderSize && packet[protocol.HeaderSize]&0x20 == 0:
			return 0, nil
		}
	}
	return 0, fmt.Errorf("%w: %q", errRefused, packet)
}
