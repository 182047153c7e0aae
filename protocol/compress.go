package protocol

// IsCompressed reports whether a handshake body looks compressed (wire.md 2.3):
// more than two bytes, the first two a zlib or gzip header. Message payloads
// have a flag instead.
func IsCompressed(b []byte) bool {
	if len(b) <= 2 {
		return false
	}
	switch b[0] {
	case 0x78:
		return b[1] == 0x9c || b[1] == 0x01 || b[1] == 0xda || b[1] == 0x5e
	case 0x1f:
		return b[1] == 0x8b
	}
	return false
}

// appendBody appends data, deflated if it is longer than above (0 = never) and
// gets strictly shorter that way.
func appendBody(dst, data []byte, above int) ([]byte, bool) {
	if above <= 0 || len(data) <= above {
		return append(dst, data...), false
	}
	start := len(dst)
	if out, ok := appendDeflated(dst, data, len(data)-1); ok {
		return out, true
	}
	return append(dst[:start], data...), false
}
