package agent

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// urgency says when a frame should leave.
type urgency int

const (
	writeNow  urgency = iota // by the one who adds it, if the socket takes it
	writeSoon                // together with what follows at once
	writeLast                // writeSoon, behind all that waits, what may be replaced included, also when that is full; nothing follows
)

// keepBuffer is the largest buffer that goes back to the pool.
const keepBuffer = 64 << 10

// buffers are lent to queues that have something to write.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// writeQueue holds the frames of one connection that the socket has not taken.
// Whoever adds to an empty queue writes it: at once and without waiting, or on a
// goroutine that lives until the queue is empty. Nobody ever waits for a client.
type writeQueue struct {
	a      *Agent
	behind atomic.Bool // more than half full; set with mu held

	mu       sync.Mutex // guards everything below
	buf      *[]byte    // frames that nobody writes yet; nil when there are none
	frames   int        // in buf
	taken    int        // frames being written
	bytes    int        // being written
	large    int        // bytes left of a frame that alone is more than may wait; 0: none
	ahead    int        // bytes that wait before it
	held     *held      // the newest of what replaces; nil when nothing waits
	awaited  bool       // the inbox waits until it is no longer behind
	writing  bool       // somebody writes
	finished bool       // takes no more
	lingers  bool       // close when the queue is written, not before
	closed   bool
	reason   string        // with closed
	told     string        // what a kick said
	over     bool          // closeWith closed the connection, or leaves that to the writer
	idle     chan struct{} // non-nil: somebody waits until nobody writes, or for over
}

func (q *writeQueue) init(a *Agent) { q.a = a }

// addMessage queues one message.
func (q *writeQueue) addMessage(m *protocol.Message, when urgency) error {
	scratch := buffers.Get().(*[]byte)
	packet, err := m.AppendPacketTo((*scratch)[:0], q.a.host.Encoding)
	if err != nil {
		putBuffer(scratch, packet)
		return errs.Wrap(errs.CodeTooLarge, err)
	}
	err = q.add(packet, when)
	putBuffer(scratch, packet)
	return err
}

// addPacket queues a packet that others may share.
func (q *writeQueue) addPacket(packet []byte) error { return q.add(packet, writeSoon) }

// addControl queues a WebSocket control frame.
func (q *writeQueue) addControl(frame []byte) {
	q.mu.Lock()
	if q.closed || q.fullLocked() {
		q.mu.Unlock()
		return
	}
	buf := q.roomLocked()
	*buf = append(*buf, frame...)
	q.startLocked(writeSoon)
}

func (q *writeQueue) add(packet []byte, when urgency) error {
	q.mu.Lock()
	if q.closed || q.finished {
		q.mu.Unlock()
		return errs.ErrClosed
	}
	if when == writeLast {
		q.releaseLocked()
		q.finished = true
	} else if q.fullLocked() {
		q.tooSlow()
		return errs.ErrClosed
	}
	q.appendLocked(packet)
	q.startLocked(when)
	return nil
}

// appendLocked makes packet the last frame.
func (q *writeQueue) appendLocked(packet []byte) {
	buf := q.roomLocked()
	before := len(*buf)
	*buf = q.a.conn.AppendFrame(*buf, packet)
	q.frames++
	if size := len(*buf) - before; size > q.a.host.QueueBytes && q.large == 0 {
		q.large, q.ahead = size, q.bytes+before
	}
}

// wroteLocked: the first n bytes of all that waits are with the client.
func (q *writeQueue) wroteLocked(n int) {
	ahead := min(n, q.ahead)
	q.ahead -= ahead
	q.large = max(0, q.large-(n-ahead))
	q.bytes, q.taken = 0, 0
}

// tooSlow ends the connection of a client that does not read, and unlocks.
func (q *writeQueue) tooSlow() {
	q.closed, q.lingers, q.reason = true, false, protocol.ReasonSlow
	q.mu.Unlock()
	q.a.host.Metrics.WriteQueueSlow()
	q.a.abort(protocol.ReasonSlow)
}

// fullLocked reports whether no more may wait. That depends on what waits, never on
// what comes: the game cannot know how much of the last answer its client has read.
// One frame that is larger than all that may wait does not count.
func (q *writeQueue) fullLocked() bool {
	frames, pending := q.pendingLocked()
	return frames >= q.a.host.QueueMessages || pending-q.large >= q.a.host.QueueBytes
}

// overHalfLocked reports whether nothing more is to be served to the client. A
// message that is larger than all that may wait counts here: the next could be as large.
func (q *writeQueue) overHalfLocked() bool {
	frames, pending := q.pendingLocked()
	return 2*frames > q.a.host.QueueMessages || 2*pending > q.a.host.QueueBytes
}

// awaitWritten has the inbox resumed when the queue is no longer behind, or reports
// false. A queue that takes nothing more is on its way to close the inbox.
func (q *writeQueue) awaitWritten() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.behind.Load() || q.closed || q.finished {
		return false
	}
	q.awaited = true
	return true
}

// unlockWritten unlocks after something was written, and resumes the inbox.
func (q *writeQueue) unlockWritten() {
	resume := false
	if q.behind.Load() && !q.overHalfLocked() {
		q.behind.Store(false)
		resume, q.awaited = q.awaited, false
	}
	q.mu.Unlock()
	if resume {
		q.a.player.Load().inbox.Resume()
	}
}

// pendingLocked is what the client has not been given yet, with what is being
// written.
func (q *writeQueue) pendingLocked() (frames, bytes int) {
	frames, bytes = q.frames+q.taken, q.bytes
	if q.buf != nil {
		bytes += len(*q.buf)
	}
	if q.held != nil {
		frames, bytes = frames+len(q.held.packets), bytes+q.held.bytes
	}
	return frames, bytes
}

func (q *writeQueue) roomLocked() *[]byte {
	if q.buf == nil {
		q.buf = buffers.Get().(*[]byte)
	}
	return q.buf
}

// startLocked has somebody write, and unlocks.
func (q *writeQueue) startLocked(when urgency) {
	if !q.behind.Load() && q.overHalfLocked() {
		q.behind.Store(true)
	}
	if q.writing {
		q.mu.Unlock()
		return
	}
	q.writing = true
	q.mu.Unlock()
	if when == writeNow {
		q.writeOnce()
	} else {
		q.a.host.writeSoon(q)
	}
}

// writeOnce writes what the socket takes right now, and has what is left then
// written by others.
func (q *writeQueue) writeOnce() {
	buf := q.take()
	if buf == nil {
		return
	}
	n, err := q.a.conn.TryWrite(*buf)
	switch {
	case err != nil:
		q.failed(buf, err)
	case n < len(*buf):
		q.putBack(buf, n)
		q.a.host.writeOut(q)
	case !q.written(buf):
		q.a.host.writeSoon(q)
	}
}

// flush writes until nothing is left, and waits for the client within the deadline.
func (q *writeQueue) flush(context.Context) {
	for {
		buf := q.take()
		if buf == nil {
			return
		}
		deadline := time.Now().Add(q.a.host.WriteTimeout)
		if err := q.a.conn.WriteAll([][]byte{*buf}, deadline); err != nil {
			q.failed(buf, err)
			return
		}
		if q.written(buf) {
			return
		}
	}
}

// take returns everything that waits, or nil and writes no more.
func (q *writeQueue) take() *[]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.releaseLocked()
	if q.buf == nil {
		q.idleLocked()
		return nil
	}
	buf := q.buf
	q.bytes, q.taken = len(*buf), q.frames
	q.buf, q.frames = nil, 0
	return buf
}

// putBack makes what is left of buf the first to be written.
func (q *writeQueue) putBack(buf *[]byte, n int) {
	q.mu.Lock()
	defer q.unlockWritten()
	*buf = (*buf)[:copy(*buf, (*buf)[n:])]
	if q.buf != nil {
		*buf = append(*buf, *q.buf...)
		putBuffer(q.buf, *q.buf)
	}
	q.buf = buf
	q.frames += q.taken
	q.wroteLocked(n)
}

// written reports true when nothing is left.
func (q *writeQueue) written(buf *[]byte) bool {
	putBuffer(buf, *buf)
	q.mu.Lock()
	defer q.unlockWritten()
	q.wroteLocked(q.bytes)
	if (q.buf != nil || q.held != nil) && !q.abandonedLocked() {
		return false
	}
	q.idleLocked()
	return true
}

// failed ends a connection whose stream is torn.
func (q *writeQueue) failed(buf *[]byte, err error) {
	putBuffer(buf, *buf)
	reason := protocol.ReasonBroken
	if errors.Is(err, acceptor.ErrDeadline) {
		reason = protocol.ReasonSlow
	}
	q.mu.Lock()
	if !q.closed { // a later write would fail for another reason, and might tell it first
		q.closed, q.reason = true, reason
	}
	q.lingers = false
	q.mu.Unlock()
	q.a.abort(reason)
	q.stop()
}

// stop is the end of a writer that cannot go on.
func (q *writeQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lingers = false
	q.dropLocked()
	q.idleLocked()
}

// abandonedLocked: closed, and what waits is not to be written.
func (q *writeQueue) abandonedLocked() bool { return q.closed && !q.lingers }

func (q *writeQueue) dropLocked() {
	if q.buf != nil {
		putBuffer(q.buf, *q.buf)
		q.buf, q.frames = nil, 0
	}
	if q.held != nil {
		q.held.giveBack()
		q.held = nil
	}
	q.bytes, q.taken = 0, 0
}

// idleLocked is the moment when nobody writes any more; a connection that was
// to be closed after its last frame is closed now.
func (q *writeQueue) idleLocked() {
	q.writing = false
	q.wakeLocked()
	if q.closed {
		q.dropLocked()
		_ = q.a.conn.Close(statusOf(q.reason, q.told)) // never waits
	}
}

func (q *writeQueue) wakeLocked() {
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

// linger has closeWith wait until the queue is written, within the write
// deadline. told is what a kick says.
func (q *writeQueue) linger(told string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lingers = true
	if !q.closed {
		q.told = told
	}
}

// finish takes no further frames and waits until those it has are written,
// within the write deadline. It reports false when the connection is closed.
func (q *writeQueue) finish() bool {
	q.mu.Lock()
	q.finished = true
	var idle chan struct{}
	if q.writing {
		idle = make(chan struct{})
		q.idle = idle
	}
	q.mu.Unlock()
	if idle != nil {
		<-idle
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed
}

// closedFor is why the queue was closed, if it was.
func (q *writeQueue) closedFor() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.reason, q.closed
}

// awaitLast waits until the connection was closed, for the frames that linger
// within the write deadline: the acceptor closes it, with no word, as soon as its
// reader returns. Who else closes the session may not have come to closeWith yet.
func (q *writeQueue) awaitLast() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.over || q.lingers && q.writing {
		idle := make(chan struct{})
		q.idle = idle
		q.mu.Unlock()
		<-idle
		q.mu.Lock()
	}
}

// closeWith closes the connection, now or after the frames that linger.
func (q *writeQueue) closeWith(reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed && saysGoodbye(reason) {
		q.lingers = true
	}
	q.closed, q.reason, q.over = true, reason, true
	if q.lingers && q.writing {
		return // the writer closes it
	}
	q.dropLocked()
	_ = q.a.conn.Close(statusOf(reason, q.told))
	q.wakeLocked()
}

// putBuffer gives a buffer back, unless it grew too large.
func putBuffer(p *[]byte, b []byte) {
	if cap(b) > keepBuffer {
		b = nil
	}
	*p = b[:0]
	buffers.Put(p)
}
