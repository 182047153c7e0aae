package protocol

import "errors"

// What can be wrong with bytes. A connection that caused one of these is closed
// and told nothing (wire.md 1.2 and 3.6). The texts that wire.md quotes are
// literal.
var (
	ErrPacketType     = errors.New("wrong packet type")
	ErrPacketHeader   = errors.New("invalid header")
	ErrPacketTooLarge = errors.New("codec: packet size exceed")

	ErrInvalidMessage   = errors.New("invalid message")
	ErrMessageType      = errors.New("wrong message type")
	ErrUnknownRouteCode = errors.New("route info not found in dictionary")
	ErrRouteTooLong     = errors.New("route is longer than 255 bytes")
	ErrNoResponseID     = errors.New("a response needs the id of its request, which is never 0")

	ErrInflateLimit = errors.New("compressed data is larger than allowed once inflated")
)
