package acceptor

import "errors"

// CloseCode says why a WebSocket is closed (RFC 6455 section 7.4). Other
// transports do not tell the peer.
type CloseCode uint16

// The codes in use here.
const (
	CloseNormal    CloseCode = 1000 // done
	CloseGoingAway CloseCode = 1001 // the server stops or moves the player
	CloseProtocol  CloseCode = 1002 // the peer broke the protocol
	ClosePolicy    CloseCode = 1008 // kicked, too many messages, too slow
	CloseTooBig    CloseCode = 1009 // a message beyond the limit
	CloseInternal  CloseCode = 1011 // the server failed
	CloseTryAgain  CloseCode = 1013 // the server is overloaded
)

// maxReason is what a close frame has room for beside the code.
const maxReason = 123

// CloseStatus is what a WebSocket client is told at the end. The zero value is
// CloseNormal without a reason.
type CloseStatus struct {
	Code   CloseCode
	Reason string // UTF-8; cut after 123 bytes
}

// StatusOf is the status with which to close after Next returned err.
func StatusOf(err error) CloseStatus {
	switch {
	case errors.Is(err, ErrTooLarge):
		return CloseStatus{Code: CloseTooBig, Reason: "message too big"}
	case errors.Is(err, ErrFlood), errors.Is(err, ErrSlow), errors.Is(err, ErrDeadline):
		return CloseStatus{Code: ClosePolicy}
	case errors.Is(err, ErrBudget):
		return CloseStatus{Code: CloseTryAgain}
	case errors.Is(err, ErrWrongType), errors.Is(err, ErrHeader), errors.Is(err, ErrShort),
		errors.Is(err, ErrTrailing), errors.Is(err, ErrFrame):
		return CloseStatus{Code: CloseProtocol}
	}
	return CloseStatus{Code: CloseNormal}
}
