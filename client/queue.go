package client

import (
	"context"
	"sync"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

const (
	// maxQueued bounds the bytes that wait to be written; one packet always fits.
	maxQueued = 4 << 20
	// keptQueue is the longest buffer that is used again.
	keptQueue = 1 << 20
)

var errQueueFull = errs.New(errs.CodeBusy, "client: the server does not read: too much is waiting to be sent")

// writeQueue gathers packets while the writer is busy, so that they leave in one
// write.
type writeQueue struct {
	wake chan struct{} // holds one token when there is something for the writer

	mu      sync.Mutex // guards all below
	pending []byte
	spare   []byte
	closed  bool
	room    chan struct{} // closed when pending was taken; nil when nobody waits
}

func newWriteQueue() *writeQueue { return &writeQueue{wake: make(chan struct{}, 1)} }

// message encodes m at the end of the queue.
func (q *writeQueue) message(m *protocol.Message, enc protocol.Encoding) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.admit(); err != nil {
		return err
	}
	packets, err := m.AppendPacketTo(q.pending, enc)
	if err != nil {
		return errs.Wrap(errs.CodeBadRequest, err)
	}
	q.pending = packets
	q.signal()
	return nil
}

// packet puts a packet without a body at the end of the queue.
func (q *writeQueue) packet(kind protocol.PacketType) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.admit() != nil {
		return // a heartbeat behind so much else is not needed
	}
	if packets, err := protocol.AppendPacket(q.pending, kind, nil); err == nil {
		q.pending = packets
		q.signal()
	}
}

func (q *writeQueue) admit() error {
	switch {
	case q.closed:
		return errs.ErrClosed
	case len(q.pending) >= maxQueued:
		return errQueueFull
	}
	return nil
}

func (q *writeQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns what waits and whether more may come. The writer gives the last
// result back as old.
func (q *writeQueue) take(old []byte) ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := cap(old); c > 0 && c <= keptQueue {
		q.spare = old[:0]
	}
	if len(q.pending) == 0 {
		return nil, !q.closed
	}
	packets := q.pending
	q.pending, q.spare = q.spare, nil
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	return packets, true
}

// roomy returns a channel that is closed when the queue was emptied.
func (q *writeQueue) roomy() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.room == nil {
		q.room = make(chan struct{})
		if len(q.pending) < maxQueued {
			room := q.room
			q.room = nil
			close(room)
			return room
		}
	}
	return q.room
}

// close lets nothing more in. What waits can still be taken.
func (q *writeQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// write is the writer: it ends when the queue was closed and is empty, or when
// the connection breaks.
func (c *Client) write(ctx context.Context) {
	defer close(c.written)
	var packets []byte
	for more := true; more; {
		if packets, more = c.queue.take(packets); len(packets) == 0 {
			if more {
				<-c.queue.wake
			}
			continue
		}
		if err := c.transport.write(packets); err != nil {
			c.writeFailed(ctx, err)
			return
		}
	}
}
