package router_test

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

// rooms are what discovery knows in these examples.
func rooms() []*cluster.Server {
	return []*cluster.Server{
		{ID: "room-a", Type: "room", Metadata: map[string]string{"zone": "north", "version": "7"}},
		{ID: "room-b", Type: "room", Metadata: map[string]string{"zone": "south", "version": "8"}},
		{ID: "room-c", Type: "room", Metadata: map[string]string{"zone": "south", "version": "8"}, Weight: 200},
	}
}

func pick(r *router.Router, c router.Call, from []*cluster.Server) string {
	c.ServerType, c.Kind = "room", router.ToHandler
	s, err := r.Pick(context.Background(), c, from)
	if err != nil {
		return err.Error()
	}
	return s.ID
}

func ExampleRouter_Set() {
	r := router.New()
	// A player always gets the same server, as long as the servers are the same.
	r.Set("room", router.ToHandler, func(_ context.Context, c router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		return servers[len(c.UID)%len(servers)], nil
	})
	fmt.Println(pick(r, router.Call{UID: "ann"}, rooms()), pick(r, router.Call{UID: "jane"}, rooms()))
	// Output: room-a room-b
}

func ExampleRouter_SetDefault() {
	r := router.New()
	r.SetDefault(router.RoundRobin())         // for all types,
	r.Set("room", 0, router.LeastLoaded(nil)) // but not for rooms,
	r.Set("room", router.ToRemote, pickFirst) // of which servers call the first.
	call := router.Call{ServerType: "room", Kind: router.ToRemote}
	s, err := r.Pick(context.Background(), call, rooms())
	fmt.Println(s.ID, err)
	// Output: room-a <nil>
}

func ExampleRouter_PickByKey() {
	r := router.New()
	for _, arena := range []string{"arena-1", "arena-2", "arena-3", "arena-1"} {
		s, err := r.PickByKey(context.Background(), router.Call{ServerType: "room", Key: arena}, rooms())
		fmt.Println(arena, s.ID, err)
	}
	// Output:
	// arena-1 room-c <nil>
	// arena-2 room-c <nil>
	// arena-3 room-b <nil>
	// arena-1 room-c <nil>
}

func ExampleRandom() {
	r, counts := router.New(), map[string]int{}
	r.Set("room", 0, router.Random()) // which is the default
	list := rooms()
	for range 40_000 {
		counts[pick(r, router.Call{}, list)]++
	}
	fmt.Println("room-c has twice the weight:", counts["room-c"] > 19_000 && counts["room-c"] < 21_000)
	// Output: room-c has twice the weight: true
}

func ExampleRoundRobin() {
	r, counts := router.New(), map[string]int{}
	r.Set("room", 0, router.RoundRobin())
	list := rooms()
	for range 40 {
		counts[pick(r, router.Call{}, list)]++
	}
	fmt.Println(counts)
	// Output: map[room-a:10 room-b:10 room-c:20]
}

func ExampleLeastLoaded() {
	inFlight := map[string]float64{"room-a": 3, "room-b": 40}
	r := router.New()
	r.Set("room", 0, router.LeastLoaded(func(s *cluster.Server) float64 { return inFlight[s.ID] }))
	fmt.Println(pick(r, router.Call{}, rooms()[:2]))
	// Output: room-a
}

func ExampleRendezvous() {
	r := router.New()
	r.Set("room", 0, router.Rendezvous(router.Bound{})) // players by uid
	list := rooms()
	fmt.Println("all are there:", pick(r, router.Call{UID: "ann"}, list), pick(r, router.Call{UID: "joe"}, list))
	fmt.Println("room-a left:  ", pick(r, router.Call{UID: "ann"}, list[1:]), pick(r, router.Call{UID: "joe"}, list[1:]))
	// Output:
	// all are there: room-c room-a
	// room-a left:   room-c room-c
}

func ExampleSticky() {
	r := router.New()
	r.Set("room", 0, router.Sticky(pickFirst, router.StickyParams{Moved: func(m router.Move) {
		fmt.Println(m.UID, "moves from", m.From, "to", m.To)
	}}))
	ann, list := router.Call{Frontend: "gate-1", SessionID: 5, UID: "ann"}, rooms()
	fmt.Println(pick(r, ann, list[1:]))
	fmt.Println(pick(r, ann, list), "although room-a is there now")
	fmt.Println(pick(r, ann, list[2:]))
	r.Forget("gate-1", 5) // the session has ended
	// Output:
	// room-b
	// room-b although room-a is there now
	// ann moves from room-b to room-c
	// room-c
}

func ExampleByVersion() {
	r := router.New()
	r.Set("room", 0, router.ByVersion(router.VersionParams{}, router.RoundRobin()))
	fmt.Println(pick(r, router.Call{Build: "7"}, rooms()))
	// Output: room-a
}

func ExampleCanary() {
	r := router.New()
	r.Set("room", 0, router.Canary(router.CanaryParams{Metadata: "version", Value: "7", Percent: 5}, nil))
	list, tries := rooms(), 0
	for i := range 10_000 {
		if pick(r, router.Call{UID: fmt.Sprint("player-", i)}, list) == "room-a" {
			tries++
		}
	}
	fmt.Println("about 500 of 10,000 players try version 7:", tries > 400 && tries < 600)
	// Output: about 500 of 10,000 players try version 7: true
}

func ExampleZone() {
	overloaded := func(*cluster.Server) bool { return false }
	r := router.New()
	r.Set("room", 0, router.Zone(router.ZoneParams{Metadata: "zone", Zone: "north", Busy: overloaded}, router.LeastLoaded(nil)))
	fmt.Println(pick(r, router.Call{}, rooms()))
	fmt.Println(pick(r, router.Call{}, rooms()[1:2]))
	// Output:
	// room-a
	// room-b
}

// Full rooms take no new players.
func ExampleFunc() {
	players := map[string]int{"room-a": 100, "room-b": 20, "room-c": 3}
	next := router.Random()
	r := router.New()
	r.Set("room", 0, func(ctx context.Context, c router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		s, err := next(ctx, c, servers)
		for try := 0; err == nil && players[s.ID] >= 100 && try < 100; try++ {
			s, err = next(ctx, c, servers)
		}
		return s, err
	})
	fmt.Println(pick(r, router.Call{}, rooms()[:2]))
	// Output: room-b
}
