package dispatch

import (
	"slices"
	"time"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/metrics"
)

// lane is the way of one session's forwards to one target. Its rules keep their
// order (design section 4): at most a window of them is unanswered; none is
// sent on a newer way while an older way has unanswered ones; and none passes
// those that may come back undelivered, to be sent elsewhere first.
//
// What a router sent to two servers has no order between them: a message that
// comes back from one of them follows what the other one was already sent.
type lane struct {
	target   *target
	inFlight int
	epoch    uint64 // of the client when the last one was sent
	began    uint64 // target's tick when the sending of the last one began
	over     uint64 // and when it was over
	settled  uint64 // latest beginning of one that has its outcome
}

// undecided reports whether the target was found gone and it is not known yet
// which of the lane's forwards were delivered.
func (l *lane) undecided(now time.Duration) bool {
	return l.inFlight > 0 && l.target.isGone(now) && l.began > l.settled && l.over > l.target.returned()
}

func (b *Inbox) laneLocked(t *target) *lane {
	kept := b.lanes[:0]
	var found *lane
	for _, l := range b.lanes {
		if l.target == t {
			found = l
		} else if l.inFlight == 0 {
			continue
		}
		kept = append(kept, l)
	}
	clear(b.lanes[len(kept):])
	b.lanes = kept
	if found == nil {
		found = &lane{target: t}
		b.lanes = append(b.lanes, found)
	}
	return found
}

// admit gives f, which is the first in the queue, its place on the way to t, or
// parks the inbox until there is one. When t went meanwhile it does neither, and
// f is to choose again.
func (b *Inbox) admit(f *forward, t *target) bool { return offerCeded(t, b.tryAdmit(f, t)) }

// readmit is admit for the first of the retries. It had a place in a window
// elsewhere, so it does not wait for one again.
func (b *Inbox) readmit(f *forward, t *target) bool { return offerCeded(t, b.tryReadmit(f, t)) }

// admission is what became of an attempt to get a place.
type admission int

const (
	refused admission = iota
	ceded             // a place was taken and given back
	admitted
)

func offerCeded(t *target, a admission) bool {
	if a == ceded {
		t.offer()
	}
	return a == admitted
}

func (b *Inbox) tryAdmit(f *forward, t *target) admission {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.retries) > 0 {
		return refused
	}
	l := b.laneLocked(t)
	epoch := b.d.client.Epoch()
	b.parked = b.undecidedLocked(t.server.Type) || l.olderLocked(epoch) || l.inFlight >= b.d.Limits.SessionWindow
	if b.parked {
		return refused
	}
	if !t.acquire(b) {
		b.parked = true
		b.d.doubt(t)
		return refused
	}
	if !b.d.usable(t) { // asked with the place taken: who leaves waits for the places
		t.cede()
		return ceded
	}
	b.popLocked()
	b.enterLocked(f, l, epoch)
	return admitted
}

func (b *Inbox) tryReadmit(f *forward, t *target) admission {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.retries[0] != f { // an earlier one has come back meanwhile
		return refused
	}
	l := b.laneLocked(t)
	epoch := b.d.client.Epoch()
	if l.olderLocked(epoch) {
		b.parked = true
		return refused
	}
	t.take()
	if !b.d.usable(t) {
		t.cede()
		return ceded
	}
	b.retries = b.retries[1:]
	b.enterLocked(f, l, epoch)
	return admitted
}

// olderLocked reports whether forwards of an older way have no outcome yet.
func (l *lane) olderLocked(epoch uint64) bool { return l.inFlight > 0 && l.epoch != epoch }

// dropRetry gives f up, which is one of the retries unless b was closed.
func (b *Inbox) dropRetry(f *forward) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.retries, f); i >= 0 {
		b.retries = slices.Delete(b.retries, i, i+1)
	}
}

// addRetryLocked puts f before those that followed it when they were first sent:
// one that comes back twice may find them still waiting.
func (b *Inbox) addRetryLocked(f *forward) {
	i := slices.IndexFunc(b.retries, func(o *forward) bool { return o.first > f.first })
	if i < 0 {
		i = len(b.retries)
	}
	b.retries = slices.Insert(b.retries, i, f)
}

// undecidedLocked reports whether forwards to servers of the type may still come
// back. The inbox is then resumed when it is known.
func (b *Inbox) undecidedLocked(serverType string) bool {
	now := b.d.clock.now()
	for _, l := range b.lanes {
		if l.target.server.Type == serverType && l.undecided(now) {
			l.target.await(b)
			if l.undecided(now) { // no bounce came before
				return true
			}
		}
	}
	return false
}

func (b *Inbox) enterLocked(f *forward, l *lane, epoch uint64) {
	b.seq++
	b.linkLocked(f)
	l.inFlight++
	l.epoch, l.began = epoch, l.target.ticks.Add(1)
	f.lane, f.seq, f.began, f.epoch = l, b.seq, l.began, epoch
	if f.first == 0 {
		f.first = f.seq
	}
}

// sent notes that the sending of the lane's last forward is over.
func (b *Inbox) sent(l *lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.over = l.target.ticks.Add(1)
}

// leave frees the place of f, which has an outcome.
func (b *Inbox) leave(f *forward) {
	t := f.lane.target
	b.mu.Lock()
	b.leaveLocked(f)
	b.mu.Unlock()
	t.release()
}

// leaveLocked also lets the inbox try again what waited for the place.
func (b *Inbox) leaveLocked(f *forward) {
	f.lane.inFlight--
	f.lane.settled = max(f.lane.settled, f.began)
	b.unlinkLocked(f)
	b.unparkLocked()
	b.settleLocked()
}

// retry frees the place of f, which did not run, and queues f to be sent again
// before anything else.
func (b *Inbox) retry(f *forward) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.addRetryLocked(f)
	}
	b.leaveLocked(f)
	b.startLocked()
}

// fail answers m with err.
func (b *Inbox) fail(m *message, err error) {
	b.observe(m, metrics.KindForward, err)
	if m.id == 0 || m.notify {
		return
	}
	b.out.Respond(m.id, nil, errs.From(err), b.more())
}
