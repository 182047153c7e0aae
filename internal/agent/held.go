package agent

import (
	"sync"

	"github.com/cereus-game/cereus/internal/dispatch"
)

// keepHeld is with how many keys a held goes back to the pool.
const keepHeld = 256

// held keeps, beside a write queue, the newest packet of each key while its
// client is given something else. Replacing one costs a look into a map, however
// much waits; behind everything else they become frames when the writer comes
// for more. The packets are shared with other sessions.
type held struct {
	places  map[string]int // in packets
	packets [][]byte       // in the order in which their keys came
	bytes   int            // of packets and keys
}

var helds = sync.Pool{New: func() any { return &held{places: make(map[string]int)} }}

func (h *held) giveBack() {
	if len(h.packets) > keepHeld {
		return
	}
	clear(h.places)
	clear(h.packets)
	h.packets, h.bytes = h.packets[:0], 0
	helds.Put(h)
}

// addPush queues a push as its priority says.
func (q *writeQueue) addPush(p dispatch.Packet) dispatch.Fate {
	if p.Priority == dispatch.Must {
		if q.add(p.Bytes, writeSoon) != nil {
			return dispatch.Gone
		}
		return dispatch.Queued
	}
	q.mu.Lock()
	switch {
	case q.closed || q.finished:
		q.mu.Unlock()
		return dispatch.Gone
	case p.Priority == dispatch.Droppable:
		return q.addDroppable(p.Bytes)
	}
	return q.addLatest(p)
}

// addDroppable unlocks.
func (q *writeQueue) addDroppable(packet []byte) dispatch.Fate {
	if frames, bytes := q.pendingLocked(); frames > 0 &&
		(2*frames >= q.a.host.QueueMessages || 2*(bytes-q.large+len(packet)) > q.a.host.QueueBytes) {
		q.mu.Unlock()
		return dispatch.Dropped
	}
	q.appendLocked(packet)
	q.startLocked(writeSoon)
	return dispatch.Queued
}

// addLatest unlocks. An unsent packet of the key gives way, also in a queue that
// is full; a further key finds it full as any packet does.
func (q *writeQueue) addLatest(p dispatch.Packet) dispatch.Fate {
	if h := q.held; h != nil {
		if i, ok := h.places[p.Key]; ok {
			old := len(h.packets[i])
			if len(p.Bytes) > old && q.fullWithoutLocked(old) {
				q.tooSlow()
				return dispatch.Gone
			}
			h.packets[i] = p.Bytes
			h.bytes += len(p.Bytes) - old
			q.startLocked(writeSoon)
			return dispatch.Replaced
		}
	}
	if q.fullLocked() {
		q.tooSlow()
		return dispatch.Gone
	}
	if q.held == nil {
		q.held = helds.Get().(*held)
	}
	q.held.places[p.Key] = len(q.held.packets)
	q.held.packets = append(q.held.packets, p.Bytes)
	q.held.bytes += len(p.Bytes) + len(p.Key)
	q.startLocked(writeSoon)
	return dispatch.Queued
}

// fullWithoutLocked reports whether no more bytes may wait beside a packet of so
// many, which gives way to a larger one.
func (q *writeQueue) fullWithoutLocked(old int) bool {
	_, bytes := q.pendingLocked()
	return bytes-q.large-old >= q.a.host.QueueBytes
}

// releaseLocked makes frames of what is held.
func (q *writeQueue) releaseLocked() {
	if q.held == nil {
		return
	}
	for _, packet := range q.held.packets {
		q.appendLocked(packet)
	}
	q.held.giveBack()
	q.held = nil
}
