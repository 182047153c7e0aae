package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A forward that comes back from a second server goes before those that came
// back from the first one behind it and still wait.
func TestAForwardThatComesBackTwiceKeepsItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start("front-1", "front")
	first, second := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(first, second)
	b := w.player(front).inbox
	b.mu.Lock()
	b.running = true // nothing is sent but here
	b.mu.Unlock()
	t.Cleanup(func() {
		b.mu.Lock()
		b.running, b.retries = false, nil
		b.mu.Unlock()
	})
	enter := func(f *forward, n *node) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.enterLocked(f, b.laneLocked(front.d.target(n.self)), front.d.client.Epoch())
	}
	one, two, three := &forward{box: b}, &forward{box: b}, &forward{box: b}
	for _, f := range []*forward{one, two, three} {
		enter(f, first)
	}
	b.retry(one)
	b.retry(two)
	b.retry(three)
	again := front.d.target(second.self)
	require.False(t, b.readmit(two, again), "it is not the first")
	require.True(t, b.readmit(one, again))
	b.retry(one)
	require.Equal(t, []*forward{one, two, three}, b.retries)
	b.dropRetry(two)
	require.Equal(t, []*forward{one, three}, b.retries)
}
