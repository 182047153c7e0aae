package agent

import (
	"context"
	"sync"
	"time"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

// slots is into how many parts the wheel divides the heartbeat interval.
const slots = 64

// slotEntry links an agent into its slot.
type slotEntry struct {
	slot       *slot
	prev, next *Agent
}

// slot holds the agents whose heartbeats are due together.
type slot struct {
	mu    sync.Mutex // guards first, and the links of the agents in the slot
	first *Agent
}

// wheel sends the heartbeats of all agents and closes those that are silent,
// from one goroutine (wire.md 2.5).
type wheel struct {
	interval  time.Duration
	heartbeat []byte
	slots     [slots]slot

	mu     sync.Mutex // guards what follows; locked before a slot
	turn   int        // the slot that was served last
	closed bool
}

func newWheel(interval time.Duration) *wheel {
	beat, _ := protocol.AppendPacket(nil, protocol.PacketHeartbeat, nil) // a valid type without a body always encodes
	return &wheel{interval: interval, heartbeat: beat}
}

// add enters a, whose first heartbeat is due in one interval. It reports false
// when the host stopped.
func (w *wheel) add(a *Agent) bool {
	w.mu.Lock() // until a is in its slot: run and closeAll see it there, or come before
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	s := &w.slots[w.turn]
	s.mu.Lock()
	defer s.mu.Unlock()
	a.beat.slot, a.beat.next = s, s.first
	if s.first != nil {
		s.first.beat.prev = a
	}
	s.first = a
	return true
}

func (w *wheel) remove(a *Agent) {
	s := a.beat.slot
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first != a && a.beat.prev == nil {
		return
	}
	if a.beat.prev != nil {
		a.beat.prev.beat.next = a.beat.next
	} else {
		s.first = a.beat.next
	}
	if a.beat.next != nil {
		a.beat.next.beat.prev = a.beat.prev
	}
	a.beat.prev, a.beat.next = nil, nil
}

// run goes by the clock, at most one turn behind: a ticker drops the ticks that a
// busy machine takes too late, and every heartbeat would be late by all of them.
func (w *wheel) run(ctx context.Context) {
	step := w.interval / slots
	tick := time.NewTicker(step)
	defer tick.Stop()
	start, served := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			due := int(time.Since(start) / step)
			for served = max(served, due-slots); served < due; served++ {
				w.serve(w.next())
			}
		}
	}
}

// next moves to the next slot and returns its agents. Who comes to it from now
// on has a whole turn before its first heartbeat.
func (w *wheel) next() []*Agent {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn = (w.turn + 1) % slots
	return w.slots[w.turn].agents()
}

// serve beats for the agents of a slot.
func (w *wheel) serve(agents []*Agent) {
	for _, a := range agents {
		if a.silent(w.patience()) {
			a.abort(protocol.ReasonTimeout)
			continue
		}
		_ = a.out.addPacket(w.heartbeat) // of a closed connection: it is leaving the slot
	}
}

// patience is two intervals, and a little more for the wheel's own unevenness:
// nobody is closed before two.
func (w *wheel) patience() time.Duration { return 2*w.interval + w.interval/slots + w.interval/slots }

// agents is a copy of the list: who is closed leaves the slot meanwhile.
func (s *slot) agents() []*Agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Agent
	for a := s.first; a != nil; a = a.beat.next {
		all = append(all, a)
	}
	return all
}

// closeAll closes everybody, and whoever comes later is turned away.
func (w *wheel) closeAll(reason string) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for i := range w.slots {
		for _, a := range w.slots[i].agents() {
			a.end(reason)
		}
	}
}

// silent reports whether nothing came from the client for so long. One whose
// packets wait unread, because the server is not ready for them or was paused,
// is not silent. Where bytes cannot be seen unread, waiting is believed.
func (a *Agent) silent(patience time.Duration) bool {
	if a.stopped.Load() || a.host.now()-time.Duration(a.seen.Load()) <= patience {
		return false
	}
	unread, err := a.conn.Probe()
	if err != nil || unread {
		return err != nil
	}
	return !a.waiting.Load() || a.conn.Transport() != acceptor.TransportMemory
}
