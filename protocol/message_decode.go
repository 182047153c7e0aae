package protocol

import (
	"encoding/binary"
	"slices"
)

// Decoding says how messages are read. The zero value has no dictionary and the
// default limits.
type Decoding struct {
	// Dictionary resolves route codes.
	Dictionary *Dictionary
	// MaxInflated and MaxRatio bound compressed payloads, see InflateLimits.
	MaxInflated int
	MaxRatio    int
	// Intern, if set, turns route bytes into a string without allocating when
	// it can; see Interner. It must not keep the slice.
	Intern func(route []byte) string
}

// DecodeMessage reads one message, the whole of b. The connection that sent
// bytes it refuses is to be closed without a reply (wire.md 3.6).
//
// Data aliases b unless the payload was compressed. The only allocations are
// the route string (none with a dictionary code or a hit in Intern) and an
// inflated payload.
func DecodeMessage(b []byte, dec Decoding) (Message, error) {
	m, err := DecodeHead(b, dec)
	if err != nil || !m.Compressed {
		return m, err
	}
	if err := m.Inflate(dec); err != nil {
		return Message{}, err
	}
	return m, nil
}

// DecodeHead is DecodeMessage without inflating: Data of a compressed message
// is what was sent, until Inflate.
func DecodeHead(b []byte, dec Decoding) (Message, error) {
	if len(b) < minMessage {
		return Message{}, ErrInvalidMessage
	}
	flag := b[0]
	m := Message{Type: MessageType(flag >> typeShift & typeMask), Err: flag&flagError != 0, Compressed: flag&flagZlib != 0}
	if !m.Type.Valid() {
		return Message{}, ErrMessageType
	}
	rest := b[1:]
	var err error
	if m.Type.hasID() {
		if m.ID, rest, err = cutID(rest); err != nil {
			return Message{}, err
		}
	}
	if m.Type.hasRoute() {
		if m.Route, rest, err = dec.cutRoute(rest, flag); err != nil {
			return Message{}, err
		}
	}
	m.Data = slices.Clip(rest)
	return m, nil
}

// Inflate makes Data of a compressed message, as DecodeHead returned it, what it
// was before it was compressed.
func (m *Message) Inflate(dec Decoding) (err error) {
	m.Data, err = Inflate(m.Data, InflateLimits{MaxBytes: dec.MaxInflated, MaxRatio: dec.MaxRatio})
	return err
}

// cutID reads the varint of wire.md 3.2: overlong forms are fine, bits beyond
// 64 are dropped, but it has to end.
func cutID(b []byte) (uint64, []byte, error) {
	var id uint64
	for i, c := range b {
		if shift := 7 * i; shift < 64 {
			id |= uint64(c&0x7f) << shift
		}
		if c < 0x80 {
			return id, b[i+1:], nil
		}
	}
	return 0, nil, ErrInvalidMessage
}

func (dec *Decoding) cutRoute(b []byte, flag byte) (string, []byte, error) {
	if flag&flagRoute != 0 {
		return dec.cutRouteCode(b)
	}
	if len(b) == 0 {
		return "", nil, ErrInvalidMessage
	}
	n := int(b[0])
	b = b[1:]
	if n > len(b) {
		return "", nil, ErrInvalidMessage
	}
	if dec.Intern != nil {
		return dec.Intern(b[:n:n]), b[n:], nil
	}
	return string(b[:n]), b[n:], nil
}

func (dec *Decoding) cutRouteCode(b []byte) (string, []byte, error) {
	if len(b) < routeCodeLen {
		return "", nil, ErrInvalidMessage
	}
	route, ok := dec.Dictionary.Route(binary.BigEndian.Uint16(b))
	if !ok {
		return "", nil, ErrUnknownRouteCode
	}
	return route, b[routeCodeLen:], nil
}
