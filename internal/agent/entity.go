package agent

import (
	"context"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

var (
	_ session.Entity        = (*Agent)(nil)
	_ dispatch.Responder    = (*Agent)(nil)
	_ dispatch.PacketWriter = (*Agent)(nil)
)

// Push queues v for the client.
func (a *Agent) Push(_ context.Context, route string, v any) error {
	data, err := a.host.Dispatcher.EncodePush(route, v)
	if err != nil {
		return err
	}
	err = a.out.addMessage(&protocol.Message{Type: protocol.MessagePush, Route: route, Data: data}, writeSoon)
	if err == nil {
		a.host.Metrics.Pushes("queued", 1)
	} else {
		a.host.Metrics.Pushes("closed", 1)
	}
	return err
}

// WritePacket queues a packet that was encoded for many sessions.
func (a *Agent) WritePacket(p dispatch.Packet) dispatch.Fate { return a.out.addPush(p) }

// Greeted reports whether the handshake is over: a client before that does not
// expect pushes.
func (a *Agent) Greeted() bool { return a.greeted.Load() }

// Respond queues the answer to a request. An answer that cannot be encoded
// becomes an error that can.
func (a *Agent) Respond(id uint64, data []byte, failure *errs.Error, more bool) {
	m := protocol.Message{Type: protocol.MessageResponse, ID: id, Data: data}
	if failure != nil {
		m.Err, m.Data = true, a.errorBody(failure)
	}
	when := writeNow
	if more {
		when = writeSoon
	}
	err := a.out.addMessage(&m, when)
	if errs.CodeOf(err) == errs.CodeTooLarge {
		m.Err, m.Data = true, a.errorBody(errTooLarge)
		err = a.out.addMessage(&m, when)
	}
	if err != nil {
		a.host.Log.WithError(err).Debug("an answer could not be queued")
	}
}

// Broken reports whether the connection broke, without reading from it.
func (a *Agent) Broken() bool {
	_, err := a.conn.Probe()
	return err != nil
}

// Behind reports whether much waits to be written, after which the inbox is resumed.
func (a *Agent) Behind() bool { return a.out.behind.Load() && a.out.awaitWritten() }

// errTooLarge answers a request whose answer no packet can hold (wire.md 1.1).
var errTooLarge = errs.New(errs.CodeTooLarge, "the answer is larger than a packet can be: send less")

func (a *Agent) errorBody(e *errs.Error) []byte {
	body, err := protocol.EncodeError(a.host.Serializer.Name(), e)
	if err != nil {
		body, _ = protocol.EncodeError(a.host.Serializer.Name(), errs.New(errs.CodeInternal, "the error cannot be encoded"))
	}
	return body
}

// Bind makes uid the user of the session.
func (a *Agent) Bind(ctx context.Context, s *session.Session, uid string) error {
	return a.host.Pool.Bind(ctx, s, uid)
}

// Save does nothing: the data of a session lives on its frontend.
func (a *Agent) Save(context.Context, *session.Session, []byte, []byte) error { return nil }

// Kick tells the client that it must go, after what is queued, and closes the
// connection. It never waits for the client. The packet has a body only when
// there is a reason (wire.md 1).
func (a *Agent) Kick(_ context.Context, _ *session.Session, reason string) error {
	a.kick(protocol.ReasonKicked, reason)
	return nil
}

// Replace kicks a client whose user logged in elsewhere.
func (a *Agent) Replace() { a.kick(protocol.ReasonReplaced, "") }

func (a *Agent) kick(why, told string) {
	packet, err := protocol.AppendKick(nil, protocol.Kick{Reason: told, Code: protocol.CloseCodeOf(why)})
	if err == nil {
		_ = a.out.add(packet, writeLast) // of a closed connection: the client is gone already
	}
	a.out.linger(told)
	a.end(why)
}

// InFlight are the routes of the session's messages without an outcome.
func (a *Agent) InFlight() []string {
	if p := a.player.Load(); p != nil {
		return p.inbox.UnderWay()
	}
	return nil
}

// Close ends the connection and does not wait. What was queued for a client that
// did nothing wrong is still written, within the write deadline.
func (a *Agent) Close(reason string) {
	if p := a.player.Load(); p != nil {
		p.inbox.Close() // also of a connection that had ended when it became a player
	}
	if !a.ended.CompareAndSwap(false, true) {
		return
	}
	defer a.out.closeWith(reason) // also when a log panics: the reader waits for it
	a.host.wheel.remove(a)
	a.host.Metrics.ConnectionClosed(reason)
	a.logEnd(reason)
}

// closeAfterWrites ends the session as soon as its queue is written.
func (a *Agent) closeAfterWrites(reason string) {
	a.out.linger("")
	a.end(reason)
}

// stopReading has the reader take no further packets from the socket. Only the
// first call counts.
func (a *Agent) stopReading() {
	halted := make(chan struct{})
	if a.halted.CompareAndSwap(nil, &halted) {
		a.stopped.Store(true)
		_ = a.interrupt() // fails only on a closed connection
	}
}

// interrupt ends a wait for packets by a deadline in the past.
func (a *Agent) interrupt() error { return a.conn.SetReadDeadline(a.host.clock) }

// drain waits, after stopReading, until the packets that were taken have their
// outcomes. It reports false when ctx ended before.
func (a *Agent) drain(ctx context.Context) bool {
	p := a.player.Load()
	select {
	case <-*a.halted.Load():
	case <-p.session.Context().Done():
	case <-ctx.Done():
		return false
	}
	return p.inbox.Drain(ctx) == nil
}
