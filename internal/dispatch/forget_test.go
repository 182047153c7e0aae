package dispatch

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

// What a router remembers of a session ends with the session.
func TestAClosedSessionIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	front.sees(w.start("room-1", "room"))
	var asked atomic.Int64
	front.d.Router.Set("room", 0, router.Sticky(func(_ context.Context, _ router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		asked.Add(1)
		return servers[0], nil
	}, router.StickyParams{}))
	p := w.player(front)
	for id := uint64(1); id <= 3; id++ {
		p.request(id, "room.game.echo")
		require.Nil(t, p.answer(t, id))
	}
	require.EqualValues(t, 1, asked.Load())
	p.inbox.Close()
	_, err := front.d.Router.Pick(t.Context(), router.Call{
		ServerType: "room", Kind: router.ToHandler, Frontend: "front-1", SessionID: p.s.ID(),
	}, front.d.candidates("room"))
	require.NoError(t, err)
	require.EqualValues(t, 2, asked.Load())
}
