package protocol

// PacketType is the first byte of a packet.
type PacketType byte

// The packet types (wire.md 1).
const (
	PacketHandshake    PacketType = 1 // both ways, a JSON body
	PacketHandshakeAck PacketType = 2 // from the client
	PacketHeartbeat    PacketType = 3 // both ways
	PacketData         PacketType = 4 // both ways, the body is one message
	PacketKick         PacketType = 5 // from the server
)

const (
	// HeaderSize is the number of bytes before a packet's body.
	HeaderSize = 4
	// MaxPacketBody is the longest body that the 24-bit length can say.
	MaxPacketBody = 1<<24 - 1
)

// Valid reports whether t is one of the five packet types.
func (t PacketType) Valid() bool { return t >= PacketHandshake && t <= PacketKick }

// String is the type's name for logs.
func (t PacketType) String() string {
	switch t {
	case PacketHandshake:
		return "handshake"
	case PacketHandshakeAck:
		return "handshake-ack"
	case PacketHeartbeat:
		return "heartbeat"
	case PacketData:
		return "data"
	case PacketKick:
		return "kick"
	}
	return "invalid"
}

// Packet is one decoded packet.
type Packet struct {
	Type PacketType
	Body []byte
}

// AppendPacket appends one packet. It fails with ErrPacketType, or with
// ErrPacketTooLarge for a body longer than MaxPacketBody.
func AppendPacket(dst []byte, t PacketType, body []byte) ([]byte, error) {
	dst, err := AppendPacketHeader(dst, t, len(body))
	if err != nil {
		return dst, err
	}
	return append(dst, body...), nil
}

// AppendPacketHeader appends the header of a packet whose body has n bytes,
// with the errors of AppendPacket.
func AppendPacketHeader(dst []byte, t PacketType, n int) ([]byte, error) {
	if !t.Valid() {
		return dst, ErrPacketType
	}
	if n < 0 || n > MaxPacketBody {
		return dst, ErrPacketTooLarge
	}
	return append(dst, byte(t), byte(n>>16), byte(n>>8), byte(n)), nil
}

// ParseHeader reads the packet header at the start of h and returns the type
// and the announced body length, at most MaxPacketBody. The length is the
// sender's claim: compare it with a limit before making room for it.
func ParseHeader(h []byte) (PacketType, int, error) {
	if len(h) < HeaderSize {
		return 0, 0, ErrPacketHeader
	}
	t := PacketType(h[0])
	if !t.Valid() {
		return 0, 0, ErrPacketType
	}
	return t, int(h[1])<<16 | int(h[2])<<8 | int(h[3]), nil
}

// DecodePackets returns the complete packets at the start of b (wire.md 1.2).
// An incomplete last packet is left out without an error; a bad header anywhere
// fails the whole batch. The bodies alias b.
func DecodePackets(b []byte) ([]Packet, error) {
	var packets []Packet
	for len(b) >= HeaderSize {
		t, n, err := ParseHeader(b)
		if err != nil {
			return nil, err
		}
		b = b[HeaderSize:]
		if n > len(b) {
			break
		}
		packets = append(packets, Packet{Type: t, Body: b[:n:n]})
		b = b[n:]
	}
	return packets, nil
}
