package acceptor

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/protocol"
)

// Transports, as Conn.Transport names them.
const (
	TransportTCP             = "tcp"
	TransportTLS             = "tls"
	TransportWebSocket       = "ws"
	TransportWebSocketSecure = "wss"
	TransportMemory          = "memory"
)

// Conn is one client's connection. It moves whole packets: Next reads them,
// and what is written is made of AppendFrame's frames. Reading and writing are
// independent of each other. Close, SetLimit, SetReadDeadline and Probe may be
// called from any goroutine.
type Conn struct {
	link      link
	nc        net.Conn
	remote    net.Addr
	transport string
	shared    *shared
	in        inbox
	frames    *frameReader // nil unless a WebSocket

	place *place // what it counts in

	begun bool // the packet that is being read has a deadline

	limit       atomic.Int64 // largest body
	established atomic.Bool
	closed      atomic.Bool
	peerCode    atomic.Uint32 // of the close frame that came; 0: none did
	control     atomic.Pointer[func(frame []byte)]

	read  readDeadlines
	write writeState
}

// shared is what the connections of one acceptor have in common.
type shared struct {
	limits Limits
	memory memory
	writes sync.Pool // of *writeOp
}

// Next waits for one whole packet and returns its type and body. The body
// lives in a shared buffer and is valid until the following call. Only one
// goroutine calls Next, and none after the acceptor's handle returned. The
// errors are those of this package and io.EOF; after any but ErrDeadline,
// close the connection.
//
// A packet's announced length is compared with the limit before any room is
// made for it (wire.md 1.1, 1.2).
func (c *Conn) Next() (protocol.PacketType, []byte, error) {
	if c.frames != nil {
		return c.nextMessage()
	}
	return c.nextPacket()
}

// Pending reports whether Next certainly returns a packet without waiting for
// the client. Only the goroutine that calls Next may call it.
func (c *Conn) Pending() bool {
	b := c.in.bytes()
	if c.frames != nil {
		return c.pendingMessage(b)
	}
	_, need, err := c.inspect(b)
	return err == nil && len(b) >= need
}

// Established ends the handshake phase: Limits.Body and Limits.Packet hold
// from now on. Before it Limits.HandshakeBody and HandshakePacket do.
func (c *Conn) Established() {
	c.established.Store(true)
	c.SetLimit(c.shared.limits.Body)
}

// SetLimit sets the largest body in bytes that Next accepts from now on.
func (c *Conn) SetLimit(n int) { c.limit.Store(int64(min(max(n, 0), protocol.MaxPacketBody))) }

// SetReadDeadline sets when Next gives up waiting, with ErrDeadline. The zero
// time means never. It also ends a Next that waits already.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.read.setOwner(c.nc, t) }

// Probe looks at the socket without reading: whether bytes wait that Next has
// not taken yet, which shows life while packets are not read, and whether the
// connection broke. TLS, WebSocket and TCP; others report false, nil.
func (c *Conn) Probe() (unread bool, err error) {
	if c.closed.Load() {
		return false, ErrClosed
	}
	return c.link.probe()
}

// OnControl sets who writes the frames with which Next answers WebSocket pings.
// hook owns the frame, is called by the goroutine in Next and must not block;
// it puts the frame between frames that are being written. Without a hook Next
// writes them itself when the socket takes them at once and no frame is half
// written, and drops them otherwise. Call it before the first Next; other
// transports never call it.
func (c *Conn) OnControl(hook func(frame []byte)) { c.control.Store(&hook) }

// AppendFrame appends to dst what has to be written to send one packet: the
// packet itself, or on a WebSocket one binary frame that holds it.
func (c *Conn) AppendFrame(dst, packet []byte) []byte {
	if c.frames == nil {
		return append(dst, packet...)
	}
	return append(appendFrameHeader(dst, opBinary, len(packet)), packet...)
}

// RemoteAddr is the client's address: the PROXY header's if there was one.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Transport is one of the Transport constants.
func (c *Conn) Transport() string { return c.transport }
