package dispatch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/router"
)

// hang has nodes receive nothing, as if their processes stood still.
func (w *world) hang(nodes ...*node) {
	w.bus.SetFaults(func(m cluster.MemoryMessage) cluster.MemoryFault {
		for _, n := range nodes {
			if m.To == n.self.Nonce {
				return cluster.MemoryFault{Drop: true}
			}
		}
		return cluster.MemoryFault{}
	})
}

func (n *node) isHung(o *node) bool { return n.d.target(o.self).vitals.hung.Load() }

// timesOut lets calls to o time out until o is passed over.
func (n *node) timesOut(t *testing.T, o *node) {
	t.Helper()
	var calls sync.WaitGroup
	for range hungAfter {
		calls.Go(func() {
			_, err := n.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo", ServerID: o.self.ID})
			if !cluster.IsTimedOut(err) {
				t.Errorf("not a timeout: %v", err)
			}
		})
	}
	calls.Wait()
	require.True(t, n.isHung(o))
}

// offered are the servers that calls to the type choose from.
func (n *node) offered(serverType string) (ids []string) {
	for _, s := range n.d.candidates(serverType) {
		ids = append(ids, s.ID)
	}
	return ids
}

// N21: a server that lets calls time out is passed over until it answers again.
func TestN21_AHungServerIsPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = 2 * time.Second
	w.withGame()
	front := w.start("front-1", "front")
	first, second := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(first, second)
	w.hang(first)
	front.timesOut(t, first)
	require.Equal(t, []string{"room-2"}, front.offered("room"))
	p := w.player(front)
	for id := uint64(1); id <= 20; id++ {
		p.request(id, "room.game.echo")
		require.Nil(t, p.answer(t, id))
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
		require.NoError(t, err)
	}
	w.hang(first, second)
	front.timesOut(t, second)
	require.Equal(t, []string{"room-1", "room-2"}, front.offered("room"), "better a slow answer than none")
	w.bus.SetFaults(nil)
	require.Eventually(t, func() bool { return !front.isHung(first) && !front.isHung(second) }, patience, tick)
}

// N21: a server that has just gone on takes what comes for as old as what waited,
// until it has read that. Nothing is sent there before: it would be refused.
func TestN21_AServerThatGoesOnIsNotYetUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = 2 * time.Second
	w.withGame()
	front := w.start("front-1", "front")
	first, second := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(first, second)
	w.hang(first)
	front.timesOut(t, first)
	first.behind.Store(int64(time.Hour))
	w.bus.SetFaults(nil)
	_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo", ServerID: first.self.ID})
	require.True(t, cluster.IsRefused(err), "%v", err)
	for range 5 {
		require.Equal(t, waking, front.d.probe(t.Context(), front.d.target(first.self)))
		require.True(t, front.isHung(first))
	}
	require.Equal(t, []string{"room-2"}, front.offered("room"))
	first.behind.Store(0)
	require.Eventually(t, func() bool { return !front.isHung(first) }, patience, tick)
}

// What forwards let time out counts as well.
func TestN21_ForwardsThatTimeOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	w.hang(room)
	p := w.player(front)
	for id := range uint64(hungAfter) {
		p.request(id+1, "room.game.echo")
	}
	for id := range uint64(hungAfter) {
		require.Equal(t, errs.CodeTimeout, p.answer(t, id+1).Code)
	}
	require.True(t, front.isHung(room))
}

// A route that is slow keeps its server out for no longer than a probe takes, and
// any answer in between keeps it in.
func TestASlowRouteIsNotAHungServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.withGame()
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	for range hungAfter {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.hold", Payload: []byte("x")})
		require.ErrorIs(t, err, errs.ErrRequestTimeout)
	}
	require.Eventually(t, func() bool { return !front.isHung(room) }, patience, tick)
	for range hungAfter {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.hold", Payload: []byte("x")})
		require.ErrorIs(t, err, errs.ErrRequestTimeout)
		require.Eventually(t, func() bool {
			_, err = front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.nothing"})
			return errs.CodeOf(err) == errs.CodeNotFound
		}, patience, tick)
		require.Zero(t, front.d.target(room.self).vitals.missed.Load())
	}
	g.open()
}

// Calls in a hurry have a server probed, and not passed over at once.
func TestShortDeadlinesDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	w.hang(room)
	for range 2 * hungAfter {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := front.d.RPC(ctx, OutgoingCall{Route: "room.rem.echo"})
		cancel()
		require.ErrorIs(t, err, errs.ErrTimeout)
	}
	require.Zero(t, front.d.target(room.self).vitals.missed.Load())
}

// N21: a server that hangs is found out also when nobody waits for it long enough
// to tell it from a slow route.
func TestN21_AHungServerAndCallsInAHurry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout    time.Duration
		idempotent bool
	}{
		"short deadlines":         {300 * time.Millisecond, false},
		"half of a longer one":    {1500 * time.Millisecond, true},
		"so short that many fail": {20 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.limits.Timeout = 5 * time.Second
				w.withGame()
				front := w.start("front-1", "front")
				front.d.Router.SetDefault(first())
				hung, other := w.start("room-1", "room"), w.start("room-2", "room")
				synctest.Wait()
				w.hang(hung)
				began := time.Now()
				for len(front.offered("room")) == 2 {
					_, _ = front.hurry(t, "echo", c.timeout, c.idempotent)
					require.Less(t, time.Since(began), longSilence+probeTimeout+hungAfter*c.timeout)
				}
				require.Equal(t, []string{other.self.ID}, front.offered("room"))
				w.bus.SetFaults(nil)
				require.True(t, wait(t.Context(), probePauseMax))
				require.Len(t, front.offered("room"), 2)
			})
		})
	}
}

// hurry makes a call that does not wait long.
func (n *node) hurry(t *testing.T, remote string, timeout time.Duration, idempotent bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return n.d.RPC(ctx, OutgoingCall{Route: "room.rem." + remote, Payload: []byte("x"), Idempotent: idempotent})
}

// Calls in a hurry of a slow route have its server probed once a second, and never
// passed over.
func TestASlowRouteAndCallsInAHurry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls, timeout = 500, 20 * time.Millisecond
		w := newWorld(t)
		w.limits.Timeout, w.limits.Remotes = 5*time.Second, calls
		g := w.withGame()
		defer g.open()
		front := w.start("front-1", "front")
		probes := front.countProbes()
		room := w.start("room-1", "room")
		synctest.Wait()
		for range calls {
			_, err := front.hurry(t, "hold", timeout, false)
			require.ErrorIs(t, err, errs.ErrTimeout)
			require.False(t, front.isHung(room))
		}
		require.LessOrEqual(t, probes.n.Load(), int64(calls*timeout/longSilence))
		require.Positive(t, probes.n.Load())
	})
}

// Discovery ends it too: a change that the server told, and a new run.
func TestDiscoveryBringsAHungServerBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withGame()
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	w.hang(room)
	front.timesOut(t, room)
	weight := 7
	require.NoError(t, room.discovery.Edit(t.Context(), cluster.Edit{Weight: &weight}))
	require.Eventually(t, func() bool { return !front.isHung(room) }, patience, tick)
	w.registry.Crash("room", "room-1")
	require.Eventually(t, func() bool { _, known := front.d.targets.Load(keyOf(room.self)); return !known }, patience, tick)
}

// Who waits for a place at a server that hangs goes to another one, before the
// calls there have timed out.
func TestN21_AFullWindowIsProbed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.ServerWindow, w.limits.Timeout = 2, patience
	w.withGame()
	front := w.start("front-1", "front")
	front.d.Router.Set("room", router.ToHandler, first())
	hung, other := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(hung, other)
	w.hang(hung)
	begin := time.Now()
	for id := uint64(1); id <= 2; id++ {
		w.player(front).request(id, "room.game.echo")
	}
	target := front.d.target(hung.self)
	require.Eventually(t, func() bool { return target.vitals.calls.Load() == 2 }, patience, tick)
	target.vitals.heard.Store(int64(front.d.clock.now() - 2*longSilence))
	third := w.player(front)
	third.request(1, "room.game.echo")
	require.Nil(t, third.answer(t, 1))
	require.True(t, front.isHung(hung))
	require.Less(t, time.Since(begin), patience/2)
}

// first always takes the first server.
func first() router.Func {
	return func(_ context.Context, _ router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		return servers[0], nil
	}
}

// N16, N01: what a server was working on when it died fails soon, and not at the
// deadline; an idempotent call goes to another server at once.
func TestN16_CallsOfADeadServerAreGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.d.Router.SetDefault(first())
	front.d.Router.Set("room", router.ToHandler, first())
	dead, alive := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(dead, alive)
	begin := time.Now()
	results := make(chan error, 2)
	call := func(c OutgoingCall) {
		_, err := front.d.RPC(t.Context(), c)
		results <- err
	}
	go call(OutgoingCall{Route: "room.rem.hold", Payload: []byte("x")})
	go call(OutgoingCall{Route: "room.rem.hold", Payload: []byte("x"), Idempotent: true})
	p := w.player(front)
	p.request(1, "room.game.beside")
	g.runs(t, 3)
	dead.transport.Disconnect()
	_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"}) // finds nobody there
	require.NoError(t, err)
	g.runs(t, 4) // the idempotent one, again
	require.True(t, cluster.IsMaybe(p.answer(t, 1)))
	require.True(t, cluster.IsMaybe(<-results))
	g.open()
	require.NoError(t, <-results)
	require.Less(t, time.Since(begin), patience/2)
}

// A crash that discovery tells of does the same, without any other call.
func TestN16_ACrashIsLookedInto(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	g := w.withGame()
	front := w.start("front-1", "front")
	dead := w.start("room-1", "room")
	front.sees(dead)
	results := make(chan error, 1)
	call := func() {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.hold", Payload: []byte("x")})
		results <- err
	}
	go call()
	g.runs(t, 1)
	w.registry.Crash("room", "room-1") // its registration only: it lives
	require.Eventually(t, func() bool { return len(front.discovery.ServersByType("room")) == 0 }, patience, tick)
	select {
	case err := <-results:
		require.Fail(t, "a server that answers was given up", err)
	case <-time.After(2 * goneCheck):
	}
	g.open()
	require.NoError(t, <-results)
}

// Another run that answers for the id means that the former one is gone.
func TestN16_ASuccessorEndsTheCallsOfTheDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	g := w.withGame()
	front := w.start("front-1", "front")
	dead := w.start("room-1", "room")
	front.sees(dead)
	results := make(chan error, 1)
	go func() {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.hold", Payload: []byte("x")})
		results <- err
	}()
	g.runs(t, 1)
	dead.transport.Disconnect()
	w.registry.Crash("room", "room-1")
	next := w.start("room-1", "room")
	front.sees(next)
	require.True(t, cluster.IsMaybe(<-results))
	g.open()
}

// A server that says goodbye answers what it accepted, although a call finds
// nobody there any more.
func TestAServerThatLeavesIsNotGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = patience
	g := w.withGame()
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	results := make(chan error, 1)
	go func() {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.hold", Payload: []byte("x")})
		results <- err
	}()
	g.runs(t, 1)
	stopped := make(chan struct{})
	go func() { room.stop(); close(stopped) }()
	require.Eventually(t, func() bool {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo", ServerID: "room-1"})
		return cluster.IsGone(err)
	}, patience, tick)
	select {
	case err := <-results:
		require.Fail(t, "given up", err)
	case <-time.After(2 * goneCheck):
	}
	g.open()
	require.NoError(t, <-results)
	<-stopped
}

// A server that has too much to do did not begin: another one may have room.
func TestABusyServerIsLeftOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Remotes, w.limits.Timeout = 1, patience
	g := w.withGame()
	front := w.start("front-1", "front")
	front.d.Router.SetDefault(first())
	front.sees(w.start("room-1", "room"), w.start("room-2", "room"), w.start("room-3", "room"))
	var calls sync.WaitGroup
	defer calls.Wait()
	defer g.open()
	for n := int64(1); n <= 2; n++ {
		calls.Go(func() {
			_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.hold", Payload: []byte("x")})
			if err != nil {
				t.Error(err)
			}
		})
		g.runs(t, n)
	}
	for _, again := range []bool{false, true} {
		_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo", Idempotent: again})
		require.ErrorIs(t, err, errs.ErrBusy, "room-3 is not asked")
		_, err = front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.nothing", Idempotent: again})
		require.Error(t, err)
	}
}

// An idempotent call leaves a server that does not answer while there is time.
func TestIdempotentCallsGoElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Timeout = 2 * time.Second
	w.withGame()
	front := w.start("front-1", "front")
	front.d.Router.SetDefault(first())
	hung, other := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(hung, other)
	w.hang(hung)
	begin := time.Now()
	_, err := front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo", Idempotent: true})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(begin), w.limits.Timeout/2)
	_, err = front.d.RPC(t.Context(), OutgoingCall{Route: "room.rem.echo"})
	require.ErrorIs(t, err, errs.ErrRequestTimeout, "one that is not waits for its answer")
	w.hang(hung, other)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = front.d.RPC(ctx, OutgoingCall{Route: "room.rem.echo", Idempotent: true})
	require.Equal(t, errs.CodeTimeout, errs.CodeOf(err))
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("enough"))
	_, err = front.d.RPC(stopped, OutgoingCall{Route: "room.rem.echo", Idempotent: true})
	require.Equal(t, errs.CodeClosed, errs.CodeOf(err))
}
