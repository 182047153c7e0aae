package dispatch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/cluster"
)

// targetKey is one run of one server.
type targetKey struct{ id, nonce string }

func keyOf(s *cluster.Server) targetKey { return targetKey{s.ID, s.Nonce} }

// passOver is how long a server is passed over that had no subscription when a
// call or a probe came. Probes end it sooner, or see to it that it goes on.
const passOver = time.Second

// target is a server that this one calls and forwards to, and its window.
type target struct {
	server    *cluster.Server
	window    int
	vitals    vitals
	goneUntil atomic.Int64 // on the dispatcher's clock; 0: never found gone
	// ticks counts the beginnings and ends of sendings, of all sessions, so that
	// one can be known to have been over before another began.
	ticks atomic.Uint64

	mu       sync.Mutex // guards the fields below
	inFlight int
	bounced  uint64   // when the sending began of the latest that came back undelivered
	waiting  []*Inbox // for a slot, in the order they came
	unsure   []*Inbox // for a bounce
	// idempotent are the calls under way that need not wait for a server that is gone.
	idempotent map[*attempt]struct{}
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

// isGone reports whether the server is passed over.
func (t *target) isGone(now time.Duration) bool { return int64(now) < t.goneUntil.Load() }

// usable reports whether t is still the run that discovery knows, and not passed over.
func (d *Dispatcher) usable(t *target) bool {
	s, ok := d.discovery.Server(t.server.ID)
	return ok && !t.isGone(d.clock.now()) && s.Nonce == t.server.Nonce && s.State != cluster.StateLeft && s.State != cluster.StateSuspect
}

// acquire takes a slot for b, or has b resumed when there is one.
func (t *target) acquire(b *Inbox) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inFlight >= t.window {
		if b.awaits != t { // b is locked too
			b.awaits = t
			t.waiting = append(t.waiting, b)
		}
		return false
	}
	t.inFlight++
	return true
}

// take takes a slot beyond the window, for a message that had one elsewhere.
func (t *target) take() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inFlight++
}

// cede gives back a slot without a word: offer follows, when b is not locked.
func (t *target) cede() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inFlight--
}

// await has b, which is locked, resumed at the next bounce. Its own forwards'
// outcomes resume it anyway.
func (t *target) await(b *Inbox) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.unsure != t {
		b.unsure = t
		t.unsure = append(t.unsure, b)
	}
}

// returned is when the sending began of the latest forward that came back
// undelivered. Bounces come in the order of the sending: what was sent before
// that and has not come back was delivered.
func (t *target) returned() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bounced
}

// release gives a slot back and resumes the inbox that may now go on, if any.
func (t *target) release() {
	t.cede()
	t.offer()
}

// offer resumes the first of those who wait for a slot, if one is free. Who is
// resumed and takes none offers it on, so that nobody waits beside a free slot.
func (t *target) offer() {
	for b := t.nextWaiting(); b != nil && !b.resume(t); {
		b = t.nextWaiting()
	}
}

func (t *target) nextWaiting() *Inbox {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 || t.inFlight >= t.window {
		return nil
	}
	b := t.waiting[0]
	t.waiting[0] = nil
	t.waiting = t.waiting[1:]
	return b
}

// foundNobody is told that a call to the server reached no subscription.
func (d *Dispatcher) foundNobody(t *target) {
	d.leaveOut(t)
	t.giveUp()
	d.lookFor(t, gonePause)
}

// leaveOut has the server be chosen by nobody, here and by the other users of
// this process's discovery. Who finds it back in between sees that it is passed
// over, and looks again: the suspicion ends as well.
func (d *Dispatcher) leaveOut(t *target) {
	if d.suspects != nil {
		d.suspects.Suspect(t.server.ID)
	}
	d.passOver(t)
}

// passOver has the server left out for a while.
func (d *Dispatcher) passOver(t *target) {
	now := d.clock.now()
	// In one step: it may be found back at the same time.
	before := t.goneUntil.Swap(int64(now + passOver))
	if before <= int64(now) { // else the list that leaves it out is only made anew a little too early
		d.reconsider(t)
	}
}

// bounce gives the slot of an undelivered forward back and resumes everybody
// who waited for this server, because there are others now.
func (t *target) bounce(began uint64) {
	t.mu.Lock()
	t.inFlight--
	t.bounced = max(t.bounced, began)
	waiting, unsure := t.waiting, t.unsure
	t.waiting, t.unsure = nil, nil
	t.mu.Unlock()
	for _, b := range unsure {
		b.sure()
	}
	for _, b := range waiting {
		b.resume(t)
	}
}

// moveOn resumes everybody who waits for a slot of this server, because there
// are others that answer.
func (t *target) moveOn() {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	for _, b := range waiting {
		b.resume(t)
	}
}
