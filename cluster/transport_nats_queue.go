package cluster

import (
	"runtime"
	"sync"
)

// Bounds of what waits for the writer (design section 4).
const (
	natsQueueMessages = 64 << 10
	natsQueueBytes    = 64 << 20
	natsQueueKept     = 4 << 10 // capacity that an empty queue keeps
)

// natsQueued is a message for the writer, or something else to do in its turn.
type natsQueued struct {
	outgoing
	run   func()
	drain *natsSocket // has not taken everything at once
}

// natsQueue holds what waits for the writer, and says whose turn it is to send:
// the writer's, or that of a caller that found the writer idle and the queue
// empty. So messages are sent one after the other, in the order they came.
type natsQueue struct {
	mu       sync.Mutex // guards what follows
	items    []natsQueued
	spare    []natsQueued
	bytes    int
	idle     bool // the writer waits for wake
	caller   bool // a caller has the turn
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
	q.items = append(q.items, natsQueued{outgoing: m})
	q.wakeLocked()
	return nil
}

// do has the writer run op between the messages queued before and after it. It
// reports false when the writer has finished.
func (q *natsQueue) do(op func()) bool { return q.add(natsQueued{run: op}) }

// drain has the writer write what socket has left. It reports false when the
// writer has finished.
func (q *natsQueue) drain(socket *natsSocket) bool { return q.add(natsQueued{drain: socket}) }

func (q *natsQueue) add(item natsQueued) bool {
	q.mu.Lock()
	if q.finished {
		q.mu.Unlock()
		return false
	}
	q.items = append(q.items, item)
	q.wakeLocked()
	return true
}

// wakeLocked wakes the writer if it waits and may send, and unlocks.
func (q *natsQueue) wakeLocked() {
	wake := q.idle && !q.caller
	if wake {
		q.idle = false
	}
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

// begin gives the turn to a caller, which must end it, if nobody else is
// sending or waits to.
func (q *natsQueue) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.idle || q.caller || q.finished || len(q.items) > 0 {
		return false
	}
	q.caller = true
	return true
}

// end takes a caller's turn back.
func (q *natsQueue) end() {
	q.mu.Lock()
	q.caller = false
	if len(q.items) == 0 && !q.finished {
		q.mu.Unlock()
		return
	}
	q.wakeLocked()
}

// take gives the writer its turn, with everything queued; nil means that it has
// none, and that wake will tell, or, when last is true, that there will be none.
func (q *natsQueue) take() (batch []natsQueued, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.caller || len(q.items) == 0 {
		q.idle = true
		return nil, q.finished && !q.caller
	}
	q.idle = false
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

// gather lets others run as long as they send. Those that were woken on another
// processor need a moment to begin.
func (q *natsQueue) gather() {
	for before, still := 0, 0; still < 3; {
		runtime.Gosched()
		q.mu.Lock()
		n := len(q.items)
		q.mu.Unlock()
		if n > before {
			still = 0
		} else {
			still++
		}
		before = n
	}
}

// finish has the writer end after what is queued.
func (q *natsQueue) finish() {
	q.mu.Lock()
	q.finished = true
	q.mu.Unlock()
	q.signal()
}
