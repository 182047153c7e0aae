package acceptor

import "errors"

// What Next returns beside io.EOF, which is the peer's end of stream at a
// packet boundary: nothing more comes, but the peer may still read. Compare
// with errors.Is.
var (
	// ErrClosed: this side called Close.
	ErrClosed = errors.New("acceptor: connection closed")
	// ErrPeerClosed: the peer sent a WebSocket close frame, which Close answers.
	// It may still read until then.
	ErrPeerClosed = errors.New("acceptor: closed by the peer")
	// ErrBroken: the connection was reset or lost.
	ErrBroken = errors.New("acceptor: connection broken")
	// ErrDeadline: the deadline of SetReadDeadline passed. Next may be called
	// again after a later deadline was set.
	ErrDeadline = errors.New("acceptor: deadline passed")
	// ErrSlow: a packet was begun and not finished in time.
	ErrSlow = errors.New("acceptor: packet not finished in time")
	// ErrBudget: all connections of the acceptor together hold more unfinished
	// packets than WithBudget allows.
	ErrBudget = errors.New("acceptor: too much memory in unfinished packets")

	// ErrWrongType: a packet's type is not one of wire.md 1.
	ErrWrongType = errors.New("acceptor: wrong packet type")
	// ErrTooLarge: a packet or WebSocket message is longer than the limit.
	ErrTooLarge = errors.New("acceptor: packet exceeds the limit")
	// ErrHeader: the stream or message ended within a packet's header.
	ErrHeader = errors.New("acceptor: invalid packet header")
	// ErrShort: the stream or message ended within a packet's body.
	ErrShort = errors.New("acceptor: received less data than expected")
	// ErrTrailing: a WebSocket message holds more than one packet.
	ErrTrailing = errors.New("acceptor: received more data than expected")
	// ErrFrame: a WebSocket frame breaks RFC 6455.
	ErrFrame = errors.New("acceptor: malformed websocket frame")
	// ErrFlood: too many WebSocket control frames or fragments.
	ErrFlood = errors.New("acceptor: too many websocket frames")
)

// Why Listen or a handshake fails.
var (
	// ErrListened: Listen was called twice, or after Close.
	ErrListened = errors.New("acceptor: was listened on or closed before: make a new one")
	// ErrNotListening: Serve needs a Listen that succeeded.
	ErrNotListening = errors.New("acceptor: not listening: call Listen first")
	// ErrProxyHeader: the PROXY protocol header is missing or malformed.
	ErrProxyHeader = errors.New("acceptor: missing or malformed PROXY header")
	// ErrUntrusted: the peer may not send PROXY headers.
	ErrUntrusted = errors.New("acceptor: peer is not a trusted proxy")
	// ErrOrigin: the page that opened the WebSocket is not on the allow list.
	ErrOrigin = errors.New("acceptor: origin not allowed")
	// ErrUpgrade: what came is not a WebSocket upgrade request.
	ErrUpgrade = errors.New("acceptor: not a websocket upgrade request")
	// ErrTorn: an earlier write ended in the middle; the stream is unusable.
	ErrTorn = errors.New("acceptor: an earlier write was torn")
)
