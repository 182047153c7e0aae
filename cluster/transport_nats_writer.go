package cluster

import (
	"context"
	"errors"
	"runtime"
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
	if socket := t.writeOne(&m, t.state.Load()); socket != nil && socket.try() {
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
				t.queue.gather(runtime.Gosched)
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
	for len(batch) > 0 {
		n := 1
		switch m := &batch[0]; {
		case m.drain != nil:
			m.drain.drain()
		case m.run != nil:
			filling.drain() // what was sent before has to go before
			m.run()
			t.mixed = true
		default:
			var socket *natsSocket
			n, socket = t.writeSome(batch)
			if socket != filling || socket != nil && socket.full() {
				filling.drain()
			}
			filling = socket
		}
		batch = batch[n:]
	}
	filling.drain()
}

// writeSome sends the first message of batch, or what may travel with it, too. It
// returns how many that were, and the socket that has yet to be written to, if any.
func (t *NATSTransport) writeSome(batch []natsQueued) (int, *natsSocket) {
	state := t.state.Load()
	n := bundleLength(batch, state.maxPayload)
	if n == 1 {
		return 1, t.writeOne(&batch[0].outgoing, state)
	}
	return n, t.writeBundle(batch[:n], state)
}

// writeOne sends m, and returns the socket that has yet to be written to, if any.
func (t *NATSTransport) writeOne(m *outgoing, state *natsState) *natsSocket {
	if !m.ready(state, m.token) {
		return nil
	}
	socket, err := t.send(m, state)
	t.after(m, state, err)
	return socket
}

// writeBundle sends messages as one, but those that are not to be sent any more.
func (t *NATSTransport) writeBundle(messages []natsQueued, state *natsState) *natsSocket {
	first := messages[0].outgoing
	whole := outgoing{subject: first.bundle, body: &t.bundle, bundled: true, reply: first.reply, call: first.call, token: first.token}
	ready := messages[:0]
	t.bundle.b = t.bundle.b[:0]
	for i := range messages {
		if m := messages[i]; m.ready(state, first.token) {
			t.bundle.b = appendBundled(t.bundle.b, &m.outgoing)
			ready = append(ready, m)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	socket, err := t.send(&whole, state)
	for i := range ready {
		t.after(&ready[i].outgoing, state, err)
	}
	return socket
}

// ready reports whether m is to be sent in state, in the bundle with that token.
// Otherwise its sender is told.
func (m *outgoing) ready(state *natsState, bundle uint64) bool {
	switch {
	case !state.connected:
		m.fail(errNotConnected)
	case m.epoch != 0 && m.epoch != state.epoch:
		m.fail(errEpochOver)
	case len(m.body.b) > state.maxPayload:
		m.fail(errPayload)
	case m.call != nil && !m.call.sending(m.token, state.epoch, bundle):
		m.release()
	default:
		return true
	}
	return false
}

// send hands m to the socket, which it then returns, or to nats.go.
func (t *NATSTransport) send(m *outgoing, state *natsState) (*natsSocket, error) {
	socket := t.direct(state)
	if socket == nil {
		return nil, m.publish(state.link.nc)
	}
	if !socket.publish(m) {
		return nil, errNotConnected
	}
	return socket, nil
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

func (m *outgoing) publish(nc *nats.Conn) error {
	if reply := m.replySubject(); reply != "" {
		return nc.PublishRequest(m.subject, reply, m.body.b)
	}
	return nc.Publish(m.subject, m.body.b)
}

// after ends with a message that the socket or nats.go has taken, or refused with err.
func (t *NATSTransport) after(m *outgoing, state *natsState, err error) {
	switch {
	case err == nil && state.up():
		m.release()
	case err == nil:
		// A socket that broke before this look may have broken before the call was
		// marked with its epoch, too late for lost(epoch) to find it; one that breaks
		// later is found.
		m.unsure()
	case errors.Is(err, nats.ErrMaxPayload):
		m.fail(errPayload)
	case errors.Is(err, errNotConnected),
		errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrBadSubject):
		m.fail(errNotConnected)
	default: // a write that failed half way
		m.unsure()
	}
}
