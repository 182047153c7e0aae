package dispatch

import (
	"sync"
	"sync/atomic"

	"github.com/cereus-game/cereus/cluster"
)

// targetKey is one run of one server.
type targetKey struct{ id, nonce string }

func keyOf(s *cluster.Server) targetKey { return targetKey{s.ID, s.Nonce} }

// target is a server that this one forwards to, and its window.
type target struct {
	server *cluster.Server
	window int
	// gone: it had no subscription when a call came. It is passed over until
	// discovery confirms that it left, or tells of another run.
	gone atomic.Bool

	mu       sync.Mutex // guards the fields below
	inFlight int
	waiting  []*Inbox // for a slot, in the order they came
}

func (d *Dispatcher) target(s *cluster.Server) *target {
	key := keyOf(s)
	if t, ok := d.targets.Load(key); ok {
		return t
	}
	window := d.Limits.ServerWindow
	if !s.Cereus() {
		window = d.Limits.PitayaWindow
	}
	t, _ := d.targets.LoadOrStore(key, &target{server: s, window: window})
	return t
}

// acquire takes a slot for b, or has b resumed when there is one.
func (t *target) acquire(b *Inbox) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inFlight < t.window {
		t.inFlight++
		return true
	}
	t.waiting = append(t.waiting, b)
	return false
}

// take takes a slot beyond the window, for a message that had one elsewhere.
func (t *target) take() {
	t.mu.Lock()
	t.inFlight++
	t.mu.Unlock()
}

// release gives a slot back and returns the inbox that may now go on, if any.
func (t *target) release() *Inbox {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inFlight--
	if len(t.waiting) == 0 || t.inFlight >= t.window {
		return nil
	}
	next := t.waiting[0]
	t.waiting[0] = nil
	t.waiting = t.waiting[1:]
	return next
}
