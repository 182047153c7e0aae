package metrics_test

import (
	"fmt"
	"time"

	"github.com/cereus-game/cereus/metrics"
)

func Example() {
	m, err := metrics.New(metrics.Params{
		Game: "shooter", ServerType: "room",
		Custom: []metrics.Custom{{Type: metrics.Counter, Subsystem: "shop", Name: "purchases", Labels: []string{"item"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	m.RegisterRoute("room.lobby.join")
	m.Route("room.lobby.join").Answered(metrics.KindLocal, time.Millisecond, "")
	fmt.Println(m.Report("purchases", map[string]string{"item": "hat"}, 1))
	// Output: <nil>
}
