package acceptor

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// TCP accepts clients on TCP, or on TLS with WithTLS or WithTLSFiles
// (wire.md 1.3). Use NewTCP.
type TCP struct{ *server }

// NewTCP returns an acceptor for an address such as ":3250"; port 0 takes a
// free one. It does nothing yet: faults of the options are reported by Listen.
func NewTCP(address string, opts ...Option) *TCP {
	s := newServer(TransportTCP, address, opts)
	if s.options.origins != nil || s.options.forwarded != nil {
		s.faults = errors.Join(s.faults, errors.New("acceptor: WithOrigins and WithForwarded are for WebSocket acceptors"))
	}
	return &TCP{s}
}

// Listen takes the address, see Acceptor.
func (a *TCP) Listen(ctx context.Context) error { return a.listenTCP(ctx) }

// WebSocket accepts clients on WebSocket, with TLS as TCP does (wire.md 1.4).
// Use NewWebSocket.
type WebSocket struct{ *server }

// NewWebSocket returns an acceptor like NewTCP's.
func NewWebSocket(address string, opts ...Option) *WebSocket {
	return &WebSocket{newServer(TransportWebSocket, address, opts)}
}

// Listen takes the address, see Acceptor.
func (a *WebSocket) Listen(ctx context.Context) error { return a.listenTCP(ctx) }

func (s *server) listenTCP(ctx context.Context) error {
	return s.listen(func() (net.Listener, error) {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", s.address)
		if err != nil {
			return nil, fmt.Errorf("acceptor: cannot listen on %q for %s: %w", s.address, s.transport(), err)
		}
		return l, nil
	})
}
