package cluster

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/nats-io/nats.go"
)

// Bounds of what waits for the writer (design section 4).
const (
	natsQueueMessages = 64 << 10
	natsQueueBytes    = 64 << 20
	natsQueueKept     = 4 << 10 // capacity that an empty queue keeps
)

// natsCrowdMemory is after how many lone messages the writer takes it that there
// is only one caller.
const natsCrowdMemory = 32

// natsQueued is a message, or an operation, for the writer.
type natsQueued struct {
	outgoing
	run func()
}

// natsQueue holds what waits for the writer.
type natsQueue struct {
	mu       sync.Mutex // guards what follows
	items    []natsQueued
	spare    []natsQueued
	bytes    int
	idle     bool // the writer waits for wake
	finished bool // nothing is accepted any more

	wake chan struct{} // room for one
}

func (q *natsQueue) push(m outgoing) error {
	size := len(m.body.b)
	q.mu.Lock()
	if q.finished {
		q.mu.Unlock()
		return errStopped
	}
	if len(q.items) >= natsQueueMessages || q.bytes+size > natsQueueBytes {
		q.mu.Unlock()
		return errQueueFull
	}
	q.bytes += size
	q.add(natsQueued{outgoing: m})
	return nil
}

// do has the writer run op between the messages queued before and after it. It
// reports false when the writer has finished.
func (q *natsQueue) do(op func()) bool {
	q.mu.Lock()
	if q.finished {
		q.mu.Unlock()
		return false
	}
	q.add(natsQueued{run: op})
	return true
}

// add appends under q.mu, which it unlocks.
func (q *natsQueue) add(item natsQueued) {
	q.items = append(q.items, item)
	wake := q.idle
	q.idle = false
	q.mu.Unlock()
	if wake {
		q.signal()
	}
}

func (q *natsQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns everything queued; nil means that wake will tell of more, or,
// when last is true, that there will be none.
func (q *natsQueue) take() (batch []natsQueued, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		q.idle = true
		return nil, q.finished
	}
	batch, q.items, q.spare, q.bytes = q.items, q.spare, nil, 0
	return batch, false
}

// giveBack returns the room of a batch that was dealt with.
func (q *natsQueue) giveBack(batch []natsQueued) {
	clear(batch)
	if cap(batch) > natsQueueKept {
		return
	}
	q.mu.Lock()
	q.spare = batch[:0]
	q.mu.Unlock()
}

// finish has the writer end after what is queued.
func (q *natsQueue) finish() {
	q.mu.Lock()
	q.finished = true
	q.mu.Unlock()
	q.signal()
}

func (t *NATSTransport) publish(m outgoing) error {
	if !t.state.Load().connected {
		m.release()
		return errNotConnected
	}
	if err := t.queue.push(m); err != nil {
		m.release()
		return err
	}
	return nil
}

// write sends what is queued until the queue is finished. Stop of its group
// does not cut it short: finish comes first, and what nats.go does is bounded.
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
				runtime.Gosched()
			}
			continue
		}
		if len(batch) > 1 {
			crowd = natsCrowdMemory
		} else {
			crowd = max(0, crowd-1)
		}
		for i := range batch {
			t.writeOne(&batch[i])
		}
		t.queue.giveBack(batch)
	}
}

func (t *NATSTransport) writeOne(m *natsQueued) {
	state := t.state.Load()
	switch {
	case m.run != nil:
		m.run()
		return
	case !state.connected:
		m.fail(errNotConnected)
		return
	case m.epoch != 0 && m.epoch != state.epoch:
		m.fail(errEpochOver)
		return
	case m.call != nil && !m.call.sending(m.token, state.epoch):
		m.release()
		return
	}
	if err := m.publish(state.link.nc); err != nil {
		t.notWritten(m, err)
		return
	}
	// A socket that broke before this look may have broken before the call was
	// marked with its epoch, too late for lost(epoch) to find it; one that breaks
	// later is found.
	if m.call != nil && !state.up() {
		m.call.unsure(m.token)
	}
	m.release()
}

func (m *natsQueued) publish(nc *nats.Conn) error {
	if m.reply == "" {
		return nc.Publish(m.subject, m.body.b)
	}
	return nc.PublishRequest(m.subject, m.reply, m.body.b)
}

// notWritten deals with a message that nats.go refused.
func (t *NATSTransport) notWritten(m *natsQueued, err error) {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		m.fail(errPayload)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrBadSubject):
		m.fail(errNotConnected)
	default: // a write that failed half way
		if m.call != nil {
			m.call.unsure(m.token)
		}
		m.release()
	}
}
