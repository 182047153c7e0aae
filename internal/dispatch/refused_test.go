package dispatch

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
)

// busybody is a component that says Busy itself, and one that passes it on.
type busybody struct {
	self *node
}

func (b *busybody) Routes(r *component.Routes) {
	component.RemoteRaw(r, "busy", func(context.Context, []byte) ([]byte, error) { return nil, errs.ErrBusy })
	component.RemoteRaw(r, "pass", func(ctx context.Context, _ []byte) ([]byte, error) {
		return b.self.d.RPC(ctx, OutgoingCall{Route: "hall.rem.nope"})
	})
}

// What a callee refused before anything ran says so, and nothing else does.
func TestRefusedBeforeItRan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Remotes, w.limits.Timeout = 1, patience
	g := w.withGame()
	hall := w.start("hall-1", "hall")
	withGame, b := w.register, &busybody{}
	w.register = func(table *component.Table) error {
		if err := withGame(table); err != nil {
			return err
		}
		return table.RegisterRemote(b, component.WithName("own"))
	}
	room := w.start("room-1", "room")
	b.self = room
	w.register = nil
	front := w.start("front-1", "front")
	front.sees(room)
	room.sees(hall)
	call := func(route string) error {
		_, err := front.d.callOne(t.Context(), room.self, route, []byte("x"))
		return err
	}
	for route, refused := range map[string]bool{
		"room.rem.echo": false, "room.own.busy": false, "room.own.pass": false, "room.rem.nope": true, "nope": true,
	} {
		require.Equal(t, refused, cluster.IsRefused(call(route)), route)
	}
	require.Equal(t, errs.CodeNotFound, errs.CodeOf(call("room.own.pass")), "what was passed on was a refusal")
	var held sync.WaitGroup
	held.Go(func() { _ = call("room.rem.hold") })
	g.runs(t, 1)
	err := call("room.rem.echo")
	require.Equal(t, errs.CodeBusy, errs.CodeOf(err))
	require.True(t, cluster.IsRefused(err))
	g.open()
	held.Wait()
	// A peer that is not ours does not know the field, and is not sent it.
	_, err = front.ask(room, patience, forwarded("room.game.nope", 0))
	require.Equal(t, errs.CodeNotFound, errs.CodeOf(err))
	require.False(t, cluster.IsRefused(err))
}
