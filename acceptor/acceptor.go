package acceptor

import (
	"context"
	"net"
)

// Acceptor listens for clients. TCP, WebSocket and Memory implement it. One
// acceptor is listened on and served once: Listen, Serve, Close, Wait.
type Acceptor interface {
	// Listen takes the address. Its error names the address, and every fault of
	// the acceptor's options.
	Listen(ctx context.Context) error
	// Serve accepts until Close and then returns nil. Each connection is given
	// to handle, in a goroutine of its own, once the transport's handshakes are
	// through. The connection is closed when handle returns; a panic of handle
	// is logged and ends that connection only.
	Serve(handle func(*Conn)) error
	// Addr is the address that is listened on, nil before Listen succeeded.
	Addr() net.Addr
	// Close stops accepting and ends the handshakes that are under way.
	// Connections that handle has live on. It waits no longer than a second, and
	// may be called many times.
	Close() error
	// Wait returns nil when Close was called and every handle has returned, or
	// an error when ctx ends before.
	Wait(ctx context.Context) error
}

var (
	_ Acceptor = (*TCP)(nil)
	_ Acceptor = (*WebSocket)(nil)
	_ Acceptor = (*Memory)(nil)
)
