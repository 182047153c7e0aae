package acceptor

import (
	"encoding/binary"
	"unicode/utf8"
)

// Opcodes of RFC 6455 section 5.2.
const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xA
)

const (
	finBit     = 0x80
	maskBit    = 0x80
	maxControl = 125 // largest payload of a control frame
)

// frameHeader is the start of a client's frame.
type frameHeader struct {
	final  bool
	opcode byte
	size   int // of the header itself
	length int // of the payload
	key    [4]byte
}

func (h *frameHeader) control() bool { return h.opcode >= opClose }

// parseFrameHeader reads a client's frame header. When b is too short it
// returns how many bytes are needed. The errors are ErrFrame, and ErrTooLarge
// for a payload of more than limit bytes.
func parseFrameHeader(b []byte, limit int) (h frameHeader, need int, err error) {
	if len(b) < 1 {
		return h, 2, nil
	}
	h.final, h.opcode = b[0]&finBit != 0, b[0]&0x0f
	if b[0]&0x70 != 0 || h.opcode > opPong || h.opcode > opBinary && h.opcode < opClose {
		return h, 0, ErrFrame
	}
	if len(b) < 2 {
		return h, 2, nil
	}
	if b[1]&maskBit == 0 {
		return h, 0, ErrFrame
	}
	return h.parseLength(b, limit)
}

func (h frameHeader) parseLength(b []byte, limit int) (frameHeader, int, error) {
	short := int(b[1] &^ maskBit)
	if h.control() && (short > maxControl || !h.final) {
		return h, 0, ErrFrame
	}
	extra := 0
	switch short {
	case 126:
		extra = 2
	case 127:
		extra = 8
	}
	h.size = 2 + extra + len(h.key)
	if len(b) < 2+extra {
		return h, h.size, nil
	}
	n := uint64(short)
	switch extra {
	case 2:
		n = uint64(binary.BigEndian.Uint16(b[2:]))
	case 8:
		n = binary.BigEndian.Uint64(b[2:])
	}
	switch {
	case n>>63 != 0:
		return h, 0, ErrFrame
	case !h.control() && n > uint64(max(limit, 0)):
		return h, 0, ErrTooLarge
	}
	h.length = int(n)
	if len(b) >= h.size {
		copy(h.key[:], b[2+extra:])
	}
	return h, h.size + h.length, nil
}

// unmask decodes a client's payload in place.
func unmask(p []byte, key [4]byte) {
	k := uint64(binary.LittleEndian.Uint32(key[:]))
	k |= k << 32
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^k)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= key[i&3]
	}
}

// appendFrameHeader appends the header of an unmasked, unfragmented frame.
func appendFrameHeader(dst []byte, opcode byte, n int) []byte {
	dst = append(dst, finBit|opcode)
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// appendCloseFrame appends a close frame.
func appendCloseFrame(dst []byte, s CloseStatus) []byte {
	if s.Code == 0 {
		s.Code = CloseNormal
	}
	for len(s.Reason) > maxReason || !utf8.ValidString(s.Reason) {
		cut := min(len(s.Reason), maxReason+1) - 1
		s.Reason = s.Reason[:cut]
	}
	dst = appendFrameHeader(dst, opClose, 2+len(s.Reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(s.Code))
	return append(dst, s.Reason...)
}
