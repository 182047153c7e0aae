package protocol

import "encoding/binary"

// Encoding says how messages are written. The zero value compresses nothing and
// is understood by every client.
type Encoding struct {
	// Dictionary replaces the routes it knows by codes. Leave it nil towards
	// libpitaya, which cannot resolve codes (wire.md 3.4).
	Dictionary *Dictionary
	// CompressAbove deflates payloads longer than this many bytes, if that makes
	// them shorter. 0 means never. Pomelo browser clients cannot inflate.
	CompressAbove int
}

// AppendTo appends the message to dst. It fails with ErrMessageType,
// ErrRouteTooLong, or ErrNoResponseID, and then returns dst as it was.
// Without compression nothing is allocated if dst has room. Data must not lie
// in the spare room of dst.
func (m *Message) AppendTo(dst []byte, enc Encoding) ([]byte, error) {
	code, coded, err := m.check(enc.Dictionary)
	if err != nil {
		return dst, err
	}
	flagAt := len(dst)
	dst = append(dst, m.flag(coded))
	if m.Type.hasID() {
		dst = binary.AppendUvarint(dst, m.ID)
	}
	switch {
	case coded:
		dst = binary.BigEndian.AppendUint16(dst, code)
	case m.Type.hasRoute():
		dst = append(dst, byte(len(m.Route)))
		dst = append(dst, m.Route...)
	}
	dst, compressed := appendBody(dst, m.Data, enc.CompressAbove)
	if compressed {
		dst[flagAt] |= flagZlib
	}
	return dst, nil
}

// AppendPacketTo appends the message in a data packet of its own. It has the
// errors of AppendTo, and ErrPacketTooLarge.
func (m *Message) AppendPacketTo(dst []byte, enc Encoding) ([]byte, error) {
	start := len(dst)
	out, err := m.AppendTo(append(dst, byte(PacketData), 0, 0, 0), enc)
	if err != nil {
		return dst, err
	}
	n := len(out) - start - HeaderSize
	if n > MaxPacketBody {
		return dst, ErrPacketTooLarge
	}
	out[start+1], out[start+2], out[start+3] = byte(n>>16), byte(n>>8), byte(n)
	return out, nil
}

// check finds the route's code and refuses what cannot be written.
func (m *Message) check(d *Dictionary) (code uint16, coded bool, err error) {
	if !m.Type.Valid() {
		return 0, false, ErrMessageType
	}
	if !m.Type.hasRoute() {
		if m.ID == 0 {
			return 0, false, ErrNoResponseID
		}
		return 0, false, nil
	}
	if code, coded = d.Code(m.Route); coded {
		return code, true, nil
	}
	if len(m.Route) > maxRoute {
		return 0, false, ErrRouteTooLong
	}
	return 0, false, nil
}

func (m *Message) flag(coded bool) byte {
	flag := byte(m.Type) << typeShift
	if coded {
		flag |= flagRoute
	}
	if m.Err {
		flag |= flagError
	}
	return flag
}
