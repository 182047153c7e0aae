package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// natsCrowdMemory is after how many lone messages the writer takes it that there
// is only one caller.
const natsCrowdMemory = 32

// natsBurst is how close to each other messages are that are sent together.
const natsBurst = 10 * time.Microsecond

func (t *NATSTransport) publish(m outgoing) error {
	state := t.state.Load()
	if !state.connected {
		return m.refuse(errNotConnected)
	}
	if m.lone && state.direct && t.quiet() && t.queue.begin() {
		t.writeLone(m)
		return nil
	}
	if err := t.queue.push(m); err != nil {
		return m.refuse(err)
	}
	return nil
}

// quiet reports whether nothing was sent a moment ago. Who answers a burst has
// one message under way at a time, and yet many to send together.
func (t *NATSTransport) quiet() bool {
	now := int64(time.Since(t.start))
	return now-t.sent.Swap(now) > int64(natsBurst)
}

// writeLone sends m in its caller's turn. It waits for nothing.
func (t *NATSTransport) writeLone(m outgoing) {
	defer t.queue.end()
	if socket := t.writeOne(&m); socket != nil && socket.try() {
		t.leave(socket)
	}
}

// write sends what is queued until the queue is finished. Stop of its group
// does not cut it short: finish comes first, and what a socket does is bounded.
func (t *NATSTransport) write(context.Context) {
	crowd := 0 // above 0: several callers sent lately
	for {
		batch, last := t.queue.take()
		if last {
			return
		}
		if batch == nil {
			<-t.queue.wake
			if crowd > 0 { // they are about to send again: fewer, larger writes
				t.queue.gather()
			}
			continue
		}
		if len(batch) > 1 {
			crowd = natsCrowdMemory
		} else {
			crowd = max(0, crowd-1)
		}
		t.writeAll(batch)
		t.sent.Store(int64(time.Since(t.start)))
		t.queue.giveBack(batch)
	}
}

// writeAll is the writer's turn.
func (t *NATSTransport) writeAll(batch []natsQueued) {
	var filling *natsSocket
	for i := range batch {
		m := &batch[i]
		switch {
		case m.drain != nil:
			m.drain.drain()
		case m.run != nil:
			filling.drain() // what was sent before has to go before
			m.run()
			t.mixed = true
		default:
			socket := t.writeOne(&m.outgoing)
			if socket != filling || socket != nil && socket.full() {
				filling.drain()
			}
			filling = socket
		}
	}
	filling.drain()
}

// writeOne sends m, and returns the socket that has yet to be written to, if any.
func (t *NATSTransport) writeOne(m *outgoing) *natsSocket {
	state := t.state.Load()
	switch {
	case !state.connected:
		m.fail(errNotConnected)
		return nil
	case m.epoch != 0 && m.epoch != state.epoch:
		m.fail(errEpochOver)
		return nil
	case len(m.body.b) > state.maxPayload:
		m.fail(errPayload)
		return nil
	case m.call != nil && !m.call.sending(m.token, state.epoch):
		m.release()
		return nil
	}
	socket := t.direct(state)
	if socket == nil {
		t.writeThrough(m, state)
		return nil
	}
	if !socket.publish(m) {
		m.fail(errNotConnected)
		return nil
	}
	t.written(m, state)
	return socket
}

// direct is the socket to send on without nats.go, if that may be. What nats.go
// has not written yet, such as a subscription that an operation made, goes first.
func (t *NATSTransport) direct(state *natsState) *natsSocket {
	if !state.direct {
		return nil
	}
	if t.mixed {
		if n, err := state.link.nc.Buffered(); err != nil || n > 0 {
			return nil
		}
		t.mixed = false
	}
	return state.socket
}

// writeThrough has nats.go send m.
func (t *NATSTransport) writeThrough(m *outgoing, state *natsState) {
	if err := m.publish(state.link.nc); err != nil {
		t.notWritten(m, err)
		return
	}
	t.written(m, state)
}

func (m *outgoing) publish(nc *nats.Conn) error {
	if reply := m.replySubject(); reply != "" {
		return nc.PublishRequest(m.subject, reply, m.body.b)
	}
	return nc.Publish(m.subject, m.body.b)
}

// written ends with a message that the socket, or nats.go, has taken.
func (t *NATSTransport) written(m *outgoing, state *natsState) {
	// A socket that broke before this look may have broken before the call was
	// marked with its epoch, too late for lost(epoch) to find it; one that breaks
	// later is found.
	if !state.up() {
		m.unsure()
		return
	}
	m.release()
}

// notWritten deals with a message that nats.go refused.
func (t *NATSTransport) notWritten(m *outgoing, err error) {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		m.fail(errPayload)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrBadSubject):
		m.fail(errNotConnected)
	default: // a write that failed half way
		m.unsure()
	}
}
