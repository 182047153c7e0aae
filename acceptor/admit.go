package acceptor

import (
	"context"
	"net"
	"runtime/debug"
)

// admit takes a connection in. It does not wait for the client.
func (s *server) admit(nc net.Conn, handle func(*Conn)) {
	s.options.metrics.Accepted()
	if !s.options.gate.enter() {
		s.turnAway(nc, RefusedFull, nil)
		return
	}
	s.open.Add(1)
	o := &opening{server: s, nc: nc}
	switch {
	case !s.hearsay(nc) && !o.seat(nc.RemoteAddr()):
		s.refuse(o, RefusedAddress, nil)
	case s.opensAtOnce():
		c, err := o.conn()
		if err != nil {
			s.refuse(o, RefusedStop, err)
			return
		}
		s.start(o, c, handle)
	case !s.openings.Go("opening", func(ctx context.Context) { s.openThenStart(ctx, o, handle) }):
		s.refuse(o, RefusedStop, nil)
	}
}

// hearsay reports whether somebody else will tell who the client is.
func (s *server) hearsay(nc net.Conn) bool {
	return s.options.proxy != nil || s.options.forwarded.trusts(nc.RemoteAddr())
}

// seat counts the connection among those of its client, once.
func (o *opening) seat(client net.Addr) (ok bool) {
	o.place, ok = o.server.options.gate.seat(client)
	o.seated = true
	return ok
}

func (s *server) opensAtOnce() bool {
	return s.tls == nil && s.options.proxy == nil && s.kind != TransportWebSocket
}

// openThenStart runs the handshakes. The connection then gets a goroutine of
// its own, because handshakes make stacks grow.
func (s *server) openThenStart(ctx context.Context, o *opening, handle func(*Conn)) {
	c, why, err := o.run(ctx)
	switch {
	case err != nil:
		s.refuse(o, why, err)
	case !o.seated && !o.seat(c.remote):
		s.refuse(o, RefusedAddress, nil)
	default:
		s.start(o, c, handle)
	}
}

func (s *server) start(o *opening, c *Conn, handle func(*Conn)) {
	c.place = o.place
	if !s.handles.Go("connection", func(context.Context) { s.run(c, handle) }) {
		s.refuse(o, RefusedStop, nil)
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
		s.logPanic(v, c.remote)
	}
	_ = c.Close(status)
	c.in.uncharge()
	s.options.gate.unseat(c.place)
	s.options.gate.leave()
	s.open.Add(-1)
	s.options.metrics.Closed()
}

func (s *server) logPanic(v any, remote net.Addr) {
	s.options.log.WithFields(map[string]any{
		"panic": v, "stack": string(debug.Stack()), "remote": remote.String(),
	}).Error("connection handler panicked")
}

// refuse ends what admit counted.
func (s *server) refuse(o *opening, why Refusal, err error) {
	s.options.gate.unseat(o.place)
	s.options.gate.leave()
	s.open.Add(-1)
	s.turnAway(o.nc, why, err)
}

// turnAway counts before it closes: who sees the end may look at the count.
func (s *server) turnAway(nc net.Conn, why Refusal, err error) {
	s.options.metrics.Refused(why)
	s.shared.turnAway(nc)
	s.options.log.WithError(err).WithField("reason", string(why)).Debug("connection refused")
}
