package client

import (
	"math"
	"sync"
	"time"

	"github.com/cereus-game/cereus/errs"
)

// call is a request that waits for its response.
type call struct {
	route    string
	deadline int64 // in the time of now; math.MaxInt64 when its context watches it
	done     func([]byte, error)
}

// callTable holds the requests in flight. One timer serves all their deadlines.
type callTable struct {
	timer *time.Timer

	mu     sync.Mutex // guards all below
	open   map[uint32]call
	last   uint32
	armed  bool // timer runs
	closed bool
}

func newCallTable() *callTable {
	t := &callTable{timer: time.NewTimer(math.MaxInt64), open: make(map[uint32]call)}
	t.timer.Stop()
	return t
}

// add gives a call an id that is never 0 and never that of another call in flight.
func (t *callTable) add(c call) (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, errs.ErrClosed
	}
	for {
		t.last++ // 32 bits, as other clients have them: wraps to 0
		if t.last == 0 {
			continue
		}
		if _, taken := t.open[t.last]; !taken {
			break
		}
	}
	t.open[t.last] = c
	if c.deadline != math.MaxInt64 && !t.armed {
		t.armed = true
		t.timer.Reset(time.Duration(c.deadline - now()))
	}
	return t.last, nil
}

// take removes the call with this id; only who gets it may call done.
func (t *callTable) take(id uint64) (call, bool) {
	if id > math.MaxUint32 {
		return call{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.open[uint32(id)]
	if ok {
		delete(t.open, uint32(id))
	}
	return c, ok
}

// sweep removes the calls whose deadline has passed and sets the timer for the
// first of the others.
func (t *callTable) sweep(now int64) []call {
	t.mu.Lock()
	defer t.mu.Unlock()
	var late []call
	next := int64(math.MaxInt64)
	for id, c := range t.open {
		if c.deadline <= now {
			late = append(late, c)
			delete(t.open, id)
			continue
		}
		next = min(next, c.deadline)
	}
	if t.armed = next != math.MaxInt64; t.armed {
		t.timer.Reset(time.Duration(next - now))
	}
	return late
}

// close removes all calls and lets no more in.
func (t *callTable) close() []call {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.timer.Stop()
	var rest []call
	for _, c := range t.open {
		rest = append(rest, c)
	}
	clear(t.open)
	return rest
}

// inFlight is the number of requests without a response.
func (t *callTable) inFlight() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}
