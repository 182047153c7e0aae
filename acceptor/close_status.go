package acceptor

// CloseCode says why a WebSocket is closed (RFC 6455 section 7.4). Other
// transports do not tell the peer.
type CloseCode uint16

// The codes in use here.
const (
	CloseNormal    CloseCode = 1000 // done
	CloseGoingAway CloseCode = 1001 // the server stops or moves the player
	CloseInternal  CloseCode = 1011 // the server failed
)

// maxReason is what a close frame has room for beside the code.
const maxReason = 123

// CloseStatus is what a WebSocket client is told at the end. The zero value is
// CloseNormal without a reason.
type CloseStatus struct {
	Code   CloseCode
	Reason string // UTF-8; cut after 123 bytes
}
