package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/cereus-game/cereus/errs"
)

// mailboxIdle is how long an empty mailbox is kept: it remembers what it ran.
const mailboxIdle = 60 * time.Second

// mailboxKey is one player as a backend sees it.
type mailboxKey struct {
	frontend, nonce string
	session         int64
}

// mailbox runs the forwards of one player in the order they came.
type mailbox struct {
	d *Dispatcher

	mu      sync.Mutex // guards everything below
	queue   []*job
	running bool
	retired bool // taken out of the map; use another
	idle    time.Duration
	last    uint64 // highest sequence accepted
	recent  uint64 // bit i: sequence last-i was accepted
}

// deliver puts j into the mailbox of its player.
func (d *Dispatcher) deliver(key mailboxKey, j *job) {
	for {
		box, ok := d.mailboxes.Load(key)
		if !ok {
			box, _ = d.mailboxes.LoadOrStore(key, &mailbox{d: d})
		}
		if done, err := box.put(j); done {
			if err != nil {
				j.fail(err)
			}
			return
		}
	}
}

// put reports false when the mailbox was retired meanwhile.
func (b *mailbox) put(j *job) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.retired {
		return false, nil
	}
	if len(b.queue) >= b.d.Limits.Mailbox {
		b.d.Metrics.RPCBusy()
		return true, errs.ErrBusy
	}
	switch b.acceptLocked(j.in.Request.GetSequence()) {
	case seen:
		j.in.Discard() // the first copy is answered
		return true, nil
	case late:
		b.d.Metrics.RPCConflict()
		return true, errs.ErrConflict
	}
	b.queue = append(b.queue, j)
	if b.running {
		return true, nil
	}
	if b.running = b.d.boxes.Go(b); !b.running { // stopping: nobody would serve it
		b.queue = nil
		return true, errs.ErrUnavailable
	}
	return true, nil
}

// verdict on a sequence number.
type verdict int

const (
	fresh verdict = iota
	seen
	late
)

// acceptLocked keeps the sequence rising: what came is dropped, what was
// overtaken is refused, because running it now would break the order. 0 is a
// Pitaya server's, which numbers nothing.
func (b *mailbox) acceptLocked(seq uint64) verdict {
	switch {
	case seq == 0:
		return fresh
	case seq > b.last:
		if shift := seq - b.last; shift < 64 {
			b.recent = b.recent<<shift | 1
		} else {
			b.recent = 1
		}
		b.last = seq
		return fresh
	case b.last-seq < 64 && b.recent&(1<<(b.last-seq)) != 0:
		return seen
	}
	return late
}

func (b *mailbox) run(context.Context) {
	serving := false // inside a handler, which may end this goroutine
	defer func() {
		if serving {
			b.survive()
		}
	}()
	for {
		j := b.next()
		if j == nil {
			return
		}
		serving = true
		j.run()
		serving = false
	}
}

// survive starts another goroutine after a handler ended this one (runtime.Goexit).
func (b *mailbox) survive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = b.d.boxes.Go(b)
}

func (b *mailbox) next() *job {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.running = false
		b.queue = nil
		b.idle = b.d.clock.now()
		return nil
	}
	j := b.queue[0]
	b.queue[0] = nil
	b.queue = b.queue[1:]
	return j
}

// retire reports whether the mailbox was idle long enough to go.
func (b *mailbox) retire(now time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retired = !b.running && len(b.queue) == 0 && now-b.idle >= mailboxIdle
	return b.retired
}

func (d *Dispatcher) sweepMailboxes(ctx context.Context) {
	tick := time.NewTicker(mailboxIdle / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := d.clock.now()
		d.mailboxes.Range(func(key mailboxKey, box *mailbox) bool {
			if box.retire(now) {
				d.mailboxes.Delete(key)
			}
			return true
		})
	}
}
