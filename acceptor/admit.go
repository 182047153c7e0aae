package acceptor

import (
	"context"
	"net"
	"runtime/debug"
)

// admit takes a connection in. It does not wait for the client.
func (s *server) admit(nc net.Conn, handle func(*Conn)) {
	s.options.metrics.Accepted()
	if n := s.open.Add(1); s.options.most > 0 && n > s.options.most {
		s.refuse(nc, RefusedFull, nil)
		return
	}
	if s.opensAtOnce() {
		o := opening{server: s, nc: nc}
		c, err := o.conn()
		if err != nil {
			s.refuse(nc, RefusedStop, err)
			return
		}
		s.start(c, handle)
		return
	}
	if !s.openings.Go("opening", func(ctx context.Context) { s.openThenStart(ctx, nc, handle) }) {
		s.refuse(nc, RefusedStop, nil)
	}
}

func (s *server) opensAtOnce() bool {
	return s.tls == nil && s.options.proxy == nil && s.kind != TransportWebSocket
}

// openThenStart runs the handshakes. The connection then gets a goroutine of
// its own, because handshakes make stacks grow.
func (s *server) openThenStart(ctx context.Context, nc net.Conn, handle func(*Conn)) {
	o := opening{server: s, nc: nc}
	c, why, err := o.run(ctx)
	if err != nil {
		s.refuse(nc, why, err)
		return
	}
	s.start(c, handle)
}

func (s *server) start(c *Conn, handle func(*Conn)) {
	if !s.handles.Go("connection", func(context.Context) { s.run(c, handle) }) {
		s.refuse(c.nc, RefusedStop, nil)
	}
}

func (s *server) run(c *Conn, handle func(*Conn)) {
	defer s.finish(c)
	handle(c)
}

// finish cleans up after handle, also when it panicked.
func (s *server) finish(c *Conn) {
	status := CloseStatus{}
	if v := recover(); v != nil {
		status.Code = CloseInternal
		s.options.log.WithFields(map[string]any{
			"panic": v, "stack": string(debug.Stack()), "remote": c.remote.String(),
		}).Error("connection handler panicked")
	}
	_ = c.Close(status)
	c.in.uncharge()
	s.open.Add(-1)
	s.options.metrics.Closed()
}

func (s *server) refuse(nc net.Conn, why Refusal, err error) {
	s.shared.turnAway(nc)
	s.open.Add(-1)
	s.options.metrics.Refused(why)
	s.options.log.WithError(err).WithField("reason", string(why)).Debug("connection refused")
}
