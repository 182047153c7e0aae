package dispatch

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	address "github.com/cereus-game/cereus/route"
	"github.com/cereus-game/cereus/router"
)

func TestCandidatesAreMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start("front-1", "front")
	var rooms []*node
	for _, id := range []string{"room-1", "room-2", "room-3"} {
		rooms = append(rooms, w.start(id, "room"))
	}
	front.sees(rooms...)
	list := front.d.candidates("room")
	require.Len(t, list, 3)
	require.Nil(t, front.d.candidates("hall"))
	require.Empty(t, front.d.candidates("front"), "a call to one's own type is for the others")

	front.d.passOver(front.d.target(rooms[1].self))
	two := front.d.candidates("room")
	require.Equal(t, []string{"room-1", "room-3"}, front.offered("room"))
	require.Same(t, &two[0], &front.d.candidates("room")[0])
	front.d.passOver(front.d.target(rooms[1].self))
	require.Same(t, &two[0], &front.d.candidates("room")[0], "the routers know this list")
	require.Eventually(t, func() bool { return len(front.d.candidates("room")) == 3 }, patience, tick)

	front.d.target(rooms[0].self).vitals.hung.Store(true)
	front.d.reconsider(front.d.target(rooms[0].self))
	front.d.passOver(front.d.target(rooms[1].self))
	front.d.passOver(front.d.target(rooms[2].self))
	require.Equal(t, []string{"room-1"}, front.offered("room"))
	_, err := front.d.pick(t.Context(), toRoom(), []targetKey{keyOf(rooms[0].self)})
	require.ErrorIs(t, err, errs.ErrNoServer)
}

// A server that is found gone by one while another finds it back is not passed over
// and in the list nevertheless.
func TestFoundGoneWhileItIsFoundBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	target := front.d.target(room.self)
	for range 20000 {
		front.d.passOver(target)
		var both sync.WaitGroup
		both.Go(func() { front.d.passOver(target) })
		both.Go(func() {
			front.d.isBack(target)
			front.d.candidates("room")
		})
		both.Wait()
		listed := len(front.d.candidates("room")) > 0
		require.False(t, listed && target.isGone(front.d.clock.now()))
	}
}

func toRoom() router.Call {
	return router.Call{Route: address.Route{ServerType: "room"}, ServerType: "room", Kind: router.ToRemote}
}

func TestAPickAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	front := w.start("front-1", "front")
	first, second := w.start("room-1", "room"), w.start("room-2", "room")
	front.sees(first, second)
	pick := func() {
		if _, err := front.d.pick(t.Context(), toRoom(), nil); err != nil {
			t.Error(err)
		}
	}
	require.Zero(t, testing.AllocsPerRun(1000, pick))
	front.d.target(first.self).goneUntil.Store(int64(time.Hour))
	front.d.reconsider(front.d.target(first.self))
	require.Zero(t, testing.AllocsPerRun(1000, pick))
	require.Zero(t, testing.AllocsPerRun(1000, func() { front.d.Load(first.self) }))
}

func TestLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start("front-1", "front")
	room := w.start("room-1", "room")
	front.sees(room)
	require.InDelta(t, 1, front.d.Load(room.self), 0)
	front.d.target(room.self).vitals.calls.Store(3)
	require.InDelta(t, 4, front.d.Load(room.self), 0)
	told, age, known := cluster.Load{CPU: 0.5, InFlight: 9}, time.Duration(0), true
	front.d.Loads = func(string) (cluster.Load, time.Duration, bool) { return told, age, known }
	require.InDelta(t, (1+3+6)*1.5, front.d.Load(room.self), 1e-9)
	age = reportCounts / 2
	require.InDelta(t, (1+3+3)*1.5, front.d.Load(room.self), 1e-9)
	age = 2 * reportCounts
	require.InDelta(t, (1+3)*1.5, front.d.Load(room.self), 1e-9)
	told.InFlight, age = 1, 0
	require.InDelta(t, (1+3)*1.5, front.d.Load(room.self), 1e-9, "its report is of our own calls")
	known = false
	require.InDelta(t, 4, front.d.Load(room.self), 0)
	front.d.target(room.self).vitals.calls.Store(0)
}

// crowd is a service discovery that has so many servers.
type crowd struct {
	cluster.ServiceDiscovery
	list []*cluster.Server
}

func (c crowd) ServersByType(string) []*cluster.Server { return c.list }

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{2, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := New(Params{Self: &cluster.Server{ID: "front-1", Type: "front"}, Router: router.New()})
			var list []*cluster.Server
			for i := range n {
				list = append(list, &cluster.Server{ID: fmt.Sprint("room-", i), Type: "room", Nonce: fmt.Sprint(i)})
			}
			d.discovery = crowd{list: list}
			d.target(list[0]).goneUntil.Store(int64(time.Hour))
			call := toRoom()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.pick(b.Context(), call, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
