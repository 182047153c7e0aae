package dispatch

// idleRoom is how many messages' room an empty fifo keeps.
const idleRoom = 4

// fifo is a queue of messages that costs next to nothing while it is empty.
type fifo struct {
	items []message
	head  int
}

func (q *fifo) len() int { return len(q.items) - q.head }

func (q *fifo) push(m message) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, m)
}

func (q *fifo) first() message { return q.items[q.head] }

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
	q.items[q.head] = message{}
	q.head++
	if q.head < len(q.items) {
		return
	}
	q.items, q.head = q.items[:0], 0
	if cap(q.items) > idleRoom {
		q.items = nil
	}
}
