package dispatch

import (
	"slices"
	"sync"
)

const (
	idleRoom = 4  // messages whose room an empty fifo keeps
	lentRoom = 64 // messages whose room is lent to a fuller one
)

// rooms are lent: a client that sends many requests at a time fills and empties
// its queue all the time.
var rooms = sync.Pool{New: func() any { return new([lentRoom]message) }}

// fifo is a queue of messages that costs next to nothing while it is empty.
type fifo struct {
	items []message
	head  int
	bytes int                // of the data in it
	lent  *[lentRoom]message // where the items are; nil: in room of its own
}

func (q *fifo) len() int { return len(q.items) - q.head }

// reserve makes room for n more messages: at the end, by moving the others to the
// front, or in a room that is lent.
func (q *fifo) reserve(n int) {
	if len(q.items)+n <= cap(q.items) {
		return
	}
	if q.head > 0 {
		kept := copy(q.items, q.items[q.head:])
		clear(q.items[kept:])
		q.items, q.head = q.items[:kept], 0
	}
	if all := len(q.items) + n; q.lent == nil && all > idleRoom && all <= lentRoom {
		q.lent = rooms.Get().(*[lentRoom]message)
		q.items = append(q.lent[:0], q.items...)
	}
}

func (q *fifo) push(m message) {
	if len(q.items) == cap(q.items) {
		q.lent = nil // append finds more
	}
	q.items = append(q.items, m)
	q.bytes += len(m.data)
}

func (q *fifo) first() message { return q.items[q.head] }

// at is the message with n others before it, which may be changed there.
func (q *fifo) at(n int) *message { return &q.items[q.head+n] }

// firstLocal is how many messages are before the first one for a handler of this
// server; -1 when there is none.
func (q *fifo) firstLocal() int {
	return slices.IndexFunc(q.items[q.head:], func(m message) bool { return m.route.local != nil })
}

// remove takes out the message with n others before it.
func (q *fifo) remove(n int) message {
	m := *q.at(n)
	copy(q.items[q.head+1:q.head+n+1], q.items[q.head:q.head+n])
	q.items[q.head] = m
	q.pop()
	return m
}

// routes appends the routes of the messages to all.
func (q *fifo) routes(all []string) []string {
	for _, m := range q.items[q.head:] {
		all = append(all, m.route.full)
	}
	return all
}

// locals is how many of the messages are for handlers of this server.
func (q *fifo) locals() (n int) {
	for _, m := range q.items[q.head:] {
		if m.route.local != nil {
			n++
		}
	}
	return n
}

func (q *fifo) pop() {
	q.bytes -= len(q.items[q.head].data)
	q.items[q.head] = message{}
	q.head++
	if q.head < len(q.items) {
		return
	}
	q.items, q.head = q.items[:0], 0
	if cap(q.items) > idleRoom {
		q.giveBack()
	}
}

// giveBack has the empty fifo keep nothing.
func (q *fifo) giveBack() {
	if q.lent != nil {
		rooms.Put(q.lent)
	}
	q.items, q.lent = nil, nil
}
