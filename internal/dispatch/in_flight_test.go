package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func (n *node) inFlight(want int) {
	n.w.t.Helper()
	require.Eventually(n.w.t, func() bool { return n.d.InFlight() == want }, patience, tick, "in flight, wanted: %d", want)
}

// What runs and what waits counts, what is over or was dropped does not, and
// neither does what other servers are to serve.
func TestInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	first, second := w.player(front), w.player(front)
	require.Zero(t, front.d.InFlight())
	for id := uint64(1); id <= 3; id++ {
		first.request(id, "game.hold")
		second.request(id, "game.hold")
	}
	second.request(4, "room.game.echo") // waits behind them, to be forwarded
	beside := w.player(front)
	beside.request(1, "game.beside")
	beside.request(2, "game.beside")
	beside.request(3, "room.game.hold")
	g.runs(t, 5)
	front.inFlight(8)
	require.ElementsMatch(t, []string{"front.game.hold", "front.game.hold", "front.game.hold", "room.game.echo"}, second.inbox.UnderWay())
	require.ElementsMatch(t, []string{"front.game.beside", "front.game.beside", "room.game.hold"}, beside.inbox.UnderWay())
	second.inbox.Close()
	front.inFlight(6)
	g.open()
	front.inFlight(0)
	require.Nil(t, beside.answer(t, 3))
	for _, p := range []*player{first, second, beside} {
		require.Eventually(t, func() bool { return len(p.inbox.UnderWay()) == 0 }, patience, tick)
	}
}

func TestInFlightOfWhatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	p := w.player(front)
	for id, route := range []string{"game.exit", "game.exitbeside", "game.panic", "game.nothing", "...", "nowhere.game.echo", "game.echo"} {
		p.request(uint64(id)+1, route)
		_ = p.answer(t, uint64(id)+1)
	}
	require.NoError(t, p.inbox.Drain(t.Context()))
	front.inFlight(0)
}

// A notify of a server is acknowledged before it runs, and counts until it ran.
func TestInFlightOfANotify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.withGame()
	front, room := w.start("front-1", "front"), w.start("room-1", "room")
	front.sees(room)
	for range 3 {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.hold", OneWay: true})
		require.NoError(t, err)
	}
	g.runs(t, 3)
	room.inFlight(3)
	g.open()
	room.inFlight(0)
}
