package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// N21: what waits for a place at another server keeps no handler of this one
// from running, and travels as it would have without waiting.
func TestN21_HandlersHereOvertakeWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.ServerWindow, w.limits.SessionWindow, w.limits.Timeout = 1, 2, patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	w.player(front).request(1, "room.game.hold")
	g.runs(t, 1)
	p := w.player(front)
	p.request(1, "room.game.whoami")
	p.waitsParked(t)
	p.request(2, "room.game.echo")
	p.request(3, "game.save")
	p.request(4, "game.echo")
	p.request(5, "room.game.echo")
	require.Nil(t, p.answer(t, 3))
	require.Nil(t, p.answer(t, 4))
	p.request(6, "game.echo")
	require.Nil(t, p.answer(t, 6))
	require.False(t, p.answered(1) || p.answered(2) || p.answered(5))
	require.Contains(t, string(p.s.Data()), "saved")
	require.Equal(t, 3, p.waitingMessages())
	for id := uint64(7); id <= 10; id++ { // as many of these at once as the session's window
		p.request(id, "game.beside")
	}
	g.runs(t, 1+2)
	require.False(t, p.answered(7))
	g.open()
	for id := uint64(1); id <= 10; id++ {
		if id == 1 || id == 2 || id == 5 || id > 6 {
			require.Nil(t, p.answer(t, id))
		}
	}
	require.NotContains(t, *g.data.Load(), "saved", "it has the session as it was at its turn")
	require.NoError(t, p.inbox.Drain(t.Context()))
	require.Zero(t, front.d.InFlight())
}

// A full mailbox has room again when a message overtakes.
func TestOvertakingMakesRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.ServerWindow, w.limits.Mailbox, w.limits.Timeout = 1, 3, patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	w.player(front).request(1, "room.game.hold")
	g.runs(t, 1)
	p := w.player(front)
	p.request(1, "room.game.echo")
	p.waitsParked(t)
	p.request(2, "room.game.echo")
	for id := uint64(3); id <= 20; id++ {
		require.True(t, p.request(id, "game.echo"))
	}
	require.Nil(t, p.answer(t, 20))
	g.open()
	require.Nil(t, p.answer(t, 2))
}

func TestFifoRemove(t *testing.T) {
	t.Parallel()
	local := &route{local: &endpoint{}}
	var q fifo
	for n := range 6 {
		m := message{id: uint64(n), route: &route{}, at: time.Duration(n)}
		if n == 3 || n == 5 {
			m.route = local
		}
		q.push(m)
	}
	q.pop()
	require.Equal(t, 2, q.firstLocal())
	require.EqualValues(t, 3, q.remove(2).id)
	require.Equal(t, 3, q.firstLocal())
	require.EqualValues(t, 5, q.remove(3).id)
	require.Equal(t, -1, q.firstLocal())
	for _, id := range []uint64{1, 2, 4} {
		require.Equal(t, id, q.first().id)
		q.pop()
	}
	require.Zero(t, q.len())
}
