package dispatch

import (
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who waits for a message of somebody else's to come back does not wait for one
// that has.
func TestABounceIsNotMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	b, target := w.player(front).inbox, front.d.target(room.self)
	target.goneUntil.Store(math.MaxInt64)
	b.mu.Lock()
	b.lanes = []*lane{{target: target, inFlight: 1, began: 1, over: 2}}
	b.mu.Unlock()
	for range 20000 {
		target.mu.Lock()
		target.bounced, target.unsure = 0, nil
		target.mu.Unlock()
		b.mu.Lock()
		b.unsure = nil
		b.mu.Unlock()
		var waits bool
		var both sync.WaitGroup
		both.Go(func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			waits = b.undecidedLocked("room")
		})
		both.Go(func() { target.bounce(3) })
		both.Wait()
		b.mu.Lock()
		missed := waits && b.unsure == target
		b.mu.Unlock()
		require.False(t, missed)
	}
}
