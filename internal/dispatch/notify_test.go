package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// A notify has no caller that stops waiting: a server that is late for all of
// them still runs all of them, in order.
func TestNotifiesAreLateRatherThanLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.start("front-1", "front"), w.start("room-1", "room")
	require.NoError(t, front.discovery.SyncServers(t.Context()))
	back.rec.block = make(chan struct{})
	p := w.player(front)
	const notifies = 40
	for number := uint32(1); number <= notifies; number++ {
		p.send(protocol.MessageNotify, number)
	}
	// More of them left than a window holds: the first ones are given up by now.
	sent := front.d.target(back.self)
	require.Eventually(t, func() bool { return sent.ticks.Load() > 4*uint64(w.limits.SessionWindow) },
		20*time.Second, 5*time.Millisecond)
	close(back.rec.block)
	require.Eventually(t, func() bool { return len(back.rec.of(p)) == notifies }, 20*time.Second, 5*time.Millisecond)
	require.True(t, rising(back.rec.of(p)))
}
