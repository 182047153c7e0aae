package cereus_test

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus"
)

func ExampleApp_Deliver() {
	ctx := context.Background()
	app, player, stop := lone()
	defer stop()
	must(player.Request(ctx, "lobby.join", &JoinRequest{Name: "ann"}, nil))

	told, err := app.Deliver(ctx, cereus.Push{Route: "onGift", Payload: "a sword"}, "ann", "bob")
	fmt.Println(told["ann"], told["bob"], err)
	// Output: online offline <nil>
}

func ExampleApp_Broadcast() {
	ctx := context.Background()
	app, player, stop := lone()
	defer stop()
	pushed := make(chan string, 1)
	player.OnPush(func(route string, data []byte) { pushed <- route + " " + string(data) })
	must(player.Request(ctx, "lobby.join", &JoinRequest{Name: "ann"}, nil))

	news := cereus.Push{Route: "onNews", Payload: "patch tonight"}
	unreached, err := app.Broadcast(ctx, news, cereus.Where("muted", nil)) // all who have not set it
	fmt.Println(<-pushed, unreached, err)
	// Output: onNews "patch tonight" [] <nil>
}
