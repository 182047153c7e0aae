package dispatch

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
)

// limited is a component whose remotes have limits of their own.
type limited struct{ g *game }

func (l *limited) Routes(r *component.Routes) {
	component.RemoteRaw(r, "one", l.g.echo, component.WithLimit(1))
	component.RemoteRaw(r, "three", l.g.beside, component.WithLimit(3))
}

// N05: a slow route takes its share of the workers and no more.
func TestN05_ASlowRouteStarvesNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Remotes, w.limits.Route, w.limits.Timeout = 4, 2, patience
	g := w.withGame()
	front, room := w.start("front-1", "front"), w.start("room-1", "room")
	front.sees(room)
	call := func(route string) error {
		_, err := front.d.RPC(context.Background(), OutgoingCall{Route: route, Payload: []byte("x")})
		return err
	}
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() { _ = call("room.rem.hold") })
	}
	g.runs(t, 2)
	begin := time.Now()
	for range 400 {
		require.Equal(t, errs.CodeBusy, errs.CodeOf(call("room.rem.hold")))
		require.NoError(t, call("room.rem.echo"))
	}
	require.Less(t, time.Since(begin), patience)
	// Handlers that run beside others take workers too, and have the same share.
	beside := func() error {
		_, err := front.ask(room, patience, forwarded("room.game.beside", 0))
		return err
	}
	for range 2 {
		held.Go(func() { _ = beside() })
	}
	g.runs(t, 4)
	require.Equal(t, errs.CodeBusy, errs.CodeOf(beside()))
	require.Equal(t, errs.CodeBusy, errs.CodeOf(call("room.rem.echo")), "the limit of all together")
	g.open()
	held.Wait()
	for range 50 {
		require.NoError(t, call("room.rem.hold"))
		require.NoError(t, beside())
	}
}

// N05: a remote's own limit holds, and its place is free when the answer is
// there: a caller that makes one call after the other is never refused.
func TestN05_LimitOfARemote(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Remotes, w.limits.Route, w.limits.Timeout = 4, 1, patience
	g := w.withGame()
	withGame := w.register
	w.register = func(table *component.Table) error {
		if err := withGame(table); err != nil {
			return err
		}
		return table.RegisterRemote(&limited{g}, component.WithName("lim"))
	}
	front, room := w.start("front-1", "front"), w.start("room-1", "room")
	front.sees(room)
	call := func(route string) error {
		_, err := front.d.RPC(context.Background(), OutgoingCall{Route: route, Payload: []byte("x")})
		return err
	}
	for range 300 {
		require.NoError(t, call("room.lim.one"))
	}
	var held sync.WaitGroup
	for range 3 {
		held.Go(func() { _ = call("room.lim.three") })
	}
	g.runs(t, 3)
	require.Equal(t, errs.CodeBusy, errs.CodeOf(call("room.lim.three")))
	require.NoError(t, call("room.lim.one"))
	g.open()
	held.Wait()
	// A remote that ends its goroutine, and one that is not there, keep no place.
	for range 20 {
		require.Equal(t, errs.CodeInternal, errs.CodeOf(call("room.rem.exit")))
		require.Equal(t, errs.CodeNotFound, errs.CodeOf(call("room.rem.nope")))
		_, err := front.ask(room, patience, &clusterpb.Request{Type: clusterpb.RPCType_User, Msg: &clusterpb.Msg{Route: "room.lim.one"}})
		require.ErrorIs(t, err, errs.ErrNoContext)
	}
	require.NoError(t, call("room.lim.one"))
	require.Zero(t, room.d.workers.alive.Load())
	require.Zero(t, room.d.remotes["lim.one"].running.Load()+room.d.remotes["lim.three"].running.Load())
}
