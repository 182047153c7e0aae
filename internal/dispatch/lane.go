package dispatch

import "github.com/cereus-game/cereus/errs"

// lane is the way of one session's forwards to one target. Its rules keep their
// order (design section 4): at most a window of them is unanswered; none is
// sent on a newer way while an older way has unanswered ones; and none passes
// those that were not delivered and are about to be sent elsewhere.
type lane struct {
	target   *target
	inFlight int
	epoch    uint64 // of the client when the last one was sent
	last     uint64 // sequence of the last one sent
	failed   uint64 // sequence of the last one known to be undelivered; 0: none
	settled  uint64 // highest sequence with an outcome since failed was set
}

// undecided reports whether forwards sent after an undelivered one have no
// outcome yet. They were not delivered either, and must be resent first.
func (l *lane) undecided() bool {
	return l.failed != 0 && l.inFlight > 0 && l.settled < l.last
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
// parks the inbox until there is one.
func (b *Inbox) admit(f *forward, t *target) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.retries) > 0 {
		return false
	}
	l := b.laneLocked(t)
	epoch := b.d.client.Epoch()
	if b.undecidedLocked(t.server.Type) || l.olderLocked(epoch) ||
		l.inFlight >= b.d.Limits.SessionWindow || !t.acquire(b) {
		b.parked = true
		return false
	}
	b.popLocked()
	b.enterLocked(f, l, epoch)
	return true
}

// readmit is admit for the first of the retries. It had a place in a window
// elsewhere, so it does not wait for one again.
func (b *Inbox) readmit(f *forward, t *target) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	l := b.laneLocked(t)
	epoch := b.d.client.Epoch()
	if l.olderLocked(epoch) {
		b.parked = true
		return false
	}
	t.take()
	b.retries = b.retries[1:]
	b.enterLocked(f, l, epoch)
	return true
}

// olderLocked reports whether forwards of an older way have no outcome yet.
func (l *lane) olderLocked(epoch uint64) bool { return l.inFlight > 0 && l.epoch != epoch }

// dropRetry gives the first retry up.
func (b *Inbox) dropRetry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.retries) > 0 {
		b.retries = b.retries[1:]
	}
}

func (b *Inbox) undecidedLocked(serverType string) bool {
	for _, l := range b.lanes {
		if l.target.server.Type == serverType && l.undecided() {
			return true
		}
	}
	return false
}

func (b *Inbox) enterLocked(f *forward, l *lane, epoch uint64) {
	b.seq++
	b.flight++
	l.inFlight++
	l.epoch, l.last = epoch, b.seq
	f.lane, f.seq, f.epoch = l, b.seq, epoch
}

// leave frees the place of f, which has an outcome, and wakes who waited for it.
func (b *Inbox) leave(f *forward) {
	b.mu.Lock()
	b.leaveLocked(f)
	b.settleLocked()
	b.mu.Unlock()
	b.wake(f.lane.target)
}

func (b *Inbox) leaveLocked(f *forward) {
	l := f.lane
	l.inFlight--
	b.flight--
	l.settled = max(l.settled, f.seq)
	if l.inFlight == 0 {
		l.failed = 0
	}
	if b.parked {
		b.parked = false
		b.startLocked()
	}
}

// retry queues f, which was not delivered, to be sent to another server.
func (b *Inbox) retry(f *forward) {
	b.mu.Lock()
	f.lane.failed = f.seq
	b.leaveLocked(f)
	if !b.closed {
		b.retries = append(b.retries, f)
		b.startLocked()
	}
	b.settleLocked()
	b.mu.Unlock()
	b.wake(f.lane.target)
}

func (b *Inbox) wake(t *target) {
	if next := t.release(); next != nil {
		next.resume()
	}
}

// fail answers m with err.
func (b *Inbox) fail(m *message, err error) {
	if m.id == 0 || m.notify {
		return
	}
	b.out.Respond(m.id, nil, errs.From(err), b.more())
}
