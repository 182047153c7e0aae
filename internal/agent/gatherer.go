package agent

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// keepGathered is for how many connections a gatherer keeps room.
const keepGathered = 4 << 10

// gatherer writes frames that may wait a moment, connection after connection
// on one goroutine. While it is busy more of them gather, which then leave in
// one write. It never waits for a client: a connection that does not take
// everything at once gets a writer of its own.
type gatherer struct {
	host *Host

	mu      sync.Mutex    // guards everything below
	waiting []*writeQueue // each once, with its writing set
	running bool
}

// initWriters makes ready to write. One that waits for its client has a
// goroutine of its own.
func (h *Host) initWriters() {
	h.writers = lifecycle.NewWorkers(h.group, "flush", func(ctx context.Context, q *writeQueue) { q.flush(ctx) })
	h.gathering = lifecycle.NewWorkers(h.group, "gather", func(ctx context.Context, g *gatherer) { g.run(ctx) })
	h.gather = make([]gatherer, runtime.GOMAXPROCS(0))
	for i := range h.gather {
		h.gather[i].host = h
	}
}

// writeSoon has q written together with what comes at once.
func (h *Host) writeSoon(q *writeQueue) {
	if !h.gather[rand.IntN(len(h.gather))].add(q) {
		q.stop()
	}
}

// writeOut has q written to the end.
func (h *Host) writeOut(q *writeQueue) {
	if !h.writers.Go(q) {
		q.stop()
	}
}

// add has q written soon. It reports false when the host stopped.
func (g *gatherer) add(q *writeQueue) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.running {
		g.running = g.host.gathering.Go(g)
	}
	if g.running {
		g.waiting = append(g.waiting, q)
	}
	return g.running
}

// run writes until nobody waits.
func (g *gatherer) run(context.Context) {
	var room []*writeQueue
	for batch := g.take(room); batch != nil; batch = g.take(room) {
		for _, q := range batch {
			q.writeOnce()
		}
		clear(batch)
		room = batch[:0]
	}
}

// take returns those that wait and leaves room for the next, or returns nil and
// ends the run.
func (g *gatherer) take(room []*writeQueue) []*writeQueue {
	if cap(room) > keepGathered {
		room = nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	batch := g.waiting
	if len(batch) == 0 {
		g.running = false
		if cap(batch) == 0 {
			g.waiting = room
		}
		return nil
	}
	g.waiting = room
	return batch
}
