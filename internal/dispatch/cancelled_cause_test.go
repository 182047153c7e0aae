package dispatch

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
)

// A call that is cancelled because another server was found gone, as in an
// errgroup, does not make its own server a gone one.
func TestACancelledCallSaysNothingOfItsServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	first, second := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(first, second)
	nobody := *first.self
	nobody.ID, nobody.Type, nobody.Nonce = "hall-1", "hall", "another"
	_, gone := front.d.callOne(t.Context(), &nobody, "hall.rem.echo", nil)
	require.ErrorIs(t, gone, errs.ErrUnavailable)

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	_, err := front.d.RPC(ctx, OutgoingCall{Route: "room.rem.echo"})
	require.Equal(t, errs.CodeClosed, errs.CodeOf(err), err)
	require.Equal(t, []string{"room-1", "room-2"}, front.offered("room"))
}
