package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/cereus-game/cereus/protocol"
)

// transport moves packets. One goroutine calls next, one calls write.
type transport interface {
	// next returns the next packet; its body is valid until the next call.
	next() (protocol.PacketType, []byte, error)
	// write sends whole packets.
	write(packets []byte) error
	// close says goodbye as the transport does, within about a second.
	close()
	// abort ends the connection at once and unblocks next and write.
	abort()
	remoteAddr() net.Addr
}

// protocolError marks an error that is the fault of the bytes that came.
type protocolError struct{ cause error }

func (e *protocolError) Error() string { return e.cause.Error() }
func (e *protocolError) Unwrap() error { return e.cause }

func violated(err error) error { return &protocolError{cause: err} }

// connect makes the connection that addr asks for.
func connect(ctx context.Context, addr string, s *settings) (transport, error) {
	scheme, rest, found := strings.Cut(addr, "://")
	if !found {
		scheme, rest = "tcp", addr
	}
	var t transport
	var err error
	switch scheme {
	case "tcp", "tls":
		t, err = dialStream(ctx, scheme, rest, s)
	case "ws", "wss":
		t, err = dialWebSocket(ctx, addr, s)
	default:
		return nil, fmt.Errorf("client: address %q: unknown scheme %q, use tcp, tls, ws or wss", addr, scheme)
	}
	if err != nil {
		return nil, dialFailed(ctx, addr, err)
	}
	return t, nil
}

func dialFailed(ctx context.Context, addr string, err error) error {
	var refused *HandshakeError
	switch {
	case errors.As(err, &refused):
	case ctx.Err() != nil:
		return fmt.Errorf("client: connecting to %s: %w (%w)", addr, ctx.Err(), err)
	}
	return fmt.Errorf("client: connecting to %s: %w", addr, err)
}

func dialStream(ctx context.Context, scheme, hostport string, s *settings) (transport, error) {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("the address must be host:port, such as localhost:3250, or a URL, such as ws://localhost:3251: %w", err)
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", hostport)
	if err != nil {
		return nil, err
	}
	if scheme == "tcp" {
		return newStream(raw, raw, s.maxPacket), nil
	}
	secure := tls.Client(raw, s.tlsFor(host))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	return newStream(secure, raw, s.maxPacket), nil
}

func (s *settings) tlsFor(host string) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.tls != nil {
		cfg = s.tls.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	return cfg
}

func hostOf(addr string) (string, error) {
	u, err := url.Parse(addr)
	if err != nil {
		return "", fmt.Errorf("the address must be a URL: %w", err)
	}
	if u.Hostname() == "" {
		return "", errors.New("the address has no host")
	}
	return u.Hostname(), nil
}
