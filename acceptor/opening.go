package acceptor

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

// opening brings one accepted connection through its handshakes.
type opening struct {
	server *server
	nc     net.Conn
	remote net.Addr  // from the PROXY header
	tls    *tls.Conn // after the TLS handshake
	link   link
	early  []byte // what came right behind the upgrade request
	place  *place // what it counts in
	seated bool   // it was counted, or need not be
}

// run does the handshakes, each within its deadline. The end of ctx ends it.
func (o *opening) run(ctx context.Context) (*Conn, Refusal, error) {
	release := context.AfterFunc(ctx, func() { _ = o.nc.Close() })
	if why, err := o.steps(ctx); err != nil {
		release()
		if ctx.Err() != nil {
			why = RefusedStop
		}
		return nil, why, err
	}
	if !release() {
		return nil, RefusedStop, ErrClosed
	}
	if err := o.nc.SetDeadline(time.Time{}); err != nil {
		return nil, RefusedStop, err
	}
	c, err := o.conn()
	return c, RefusedStop, err
}

func (o *opening) steps(ctx context.Context) (why Refusal, err error) {
	defer func() {
		if v := recover(); v != nil { // of a callback in the application's tls.Config
			o.server.logPanic(v, o.peer())
			why, err = RefusedTLS, fmt.Errorf("tls handshake: panicked: %v", v)
		}
	}()
	if rules := o.server.options.proxy; rules != nil {
		if err := o.readProxyHeader(rules); err != nil {
			return RefusedProxy, err
		}
	}
	if err := o.nc.SetDeadline(time.Now().Add(o.server.shared.limits.Opening)); err != nil {
		return RefusedStop, err
	}
	if o.server.tls != nil {
		if err := o.shakeTLS(ctx); err != nil {
			return RefusedTLS, err
		}
	}
	if o.server.kind == TransportWebSocket {
		if err := o.upgrade(); err != nil {
			return RefusedHTTP, err
		}
	}
	return "", nil
}

func (o *opening) shakeTLS(ctx context.Context) error {
	tcp, ok := o.nc.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("acceptor: no TLS on %T", o.nc)
	}
	conn, l, err := newTLSLink(tcp, o.server.tls, o.server.shared)
	if err != nil {
		return err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("tls handshake: %w", err)
	}
	o.tls, o.link = conn, l
	return nil
}

// stream is where the next handshake talks.
func (o *opening) stream() io.ReadWriter {
	if o.tls != nil {
		return o.tls
	}
	return o.nc
}

// conn makes the connection that handle gets.
func (o *opening) conn() (*Conn, error) {
	s := o.server
	c := &Conn{nc: o.nc, link: o.link, remote: o.remote, transport: s.transport(), shared: s.shared}
	if c.remote == nil {
		c.remote = o.nc.RemoteAddr()
	}
	if err := o.attach(c); err != nil {
		return nil, err
	}
	c.in.memory = &s.shared.memory
	c.in.preload(o.early)
	if s.kind == TransportWebSocket {
		c.frames = &frameReader{}
	}
	c.SetLimit(s.shared.limits.HandshakeBody)
	return c, nil
}

// attach gives the connection its link, if TLS did not make one.
func (o *opening) attach(c *Conn) (err error) {
	switch l := o.link.(type) {
	case *tlsLink:
		l.startPolling()
		return nil
	}
	if tcp, ok := o.nc.(*net.TCPConn); ok {
		c.link, err = newLink(tcp, o.server.shared)
		return err
	}
	c.link = &pipeLink{conn: o.nc}
	return nil
}

func (s *server) transport() string {
	if s.tls == nil {
		return s.kind
	}
	if s.kind == TransportWebSocket {
		return TransportWebSocketSecure
	}
	return TransportTLS
}
