package cereus_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

// Rooms tell how many matches they run, and new players go to the one with the
// fewest. A room that has not told yet counts as empty.
func ExampleApp_Load() {
	room, err := cereus.New(cereus.Backend("room"))
	if err != nil {
		panic(err)
	}
	if err := room.RegisterLoad("matches", func() float64 { return 12 }); err != nil {
		panic(err)
	}

	var gate *cereus.App
	emptiest := func(_ context.Context, _ router.Call, rooms []*cluster.Server) (*cluster.Server, error) {
		return slices.MinFunc(rooms, func(a, b *cluster.Server) int {
			return cmp.Compare(matchesOf(gate, a), matchesOf(gate, b))
		}), nil
	}
	gate, err = cereus.New(cereus.Frontend("gate"), cereus.WithTCP(":3250"), cereus.WithRouter("room", router.ToHandler, emptiest))
	if err != nil {
		panic(err)
	}
	fmt.Println(gate.Server().Type, room.Server().Type)
	// Output: gate room
}

func matchesOf(app *cereus.App, server *cluster.Server) float64 {
	l, _ := app.Load(server.ID)
	return l.Values["matches"]
}
