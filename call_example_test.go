package cereus_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/router"
)

func ExampleWithKey() {
	lobby, _, stop := pair("example-withkey/")
	defer stop()
	// All calls about one guild go to the same desk, as long as that is there.
	reply, err := cereus.Call[JoinReply](context.Background(), lobby, "desk.desk.count", &JoinRequest{Name: "ann"},
		cereus.WithKey("guild of ann"), cereus.Idempotent())
	must(err)
	fmt.Println(reply.Welcome)
	// Output: counted ann
}

func ExampleToLeader() {
	lobby, _, stop := pair("example-toleader/")
	defer stop()
	err := lobby.RPC(context.Background(), "nowhere.desk.count", nil, nil, cereus.ToLeader())
	fmt.Println(err)
	// Output: the server type has no leader: try again when a server of it that can lead is registered
}

func ExampleQuorum() {
	lobby, _, stop := pair("example-quorum/")
	defer stop()
	results, err := cereus.CallAll[JoinReply](context.Background(), lobby, "desk.desk.count", &JoinRequest{Name: "ann"}, cereus.Quorum(2))
	fmt.Println(len(results), err)
	// Output: 1 too few servers can answer for the quorum: see the errors of the results, or ask for fewer
}

func ExampleCallEach() {
	lobby, _, stop := pair("example-calleach/")
	defer stop()
	for r := range cereus.CallEach[JoinReply](context.Background(), lobby, "desk.desk.count", &JoinRequest{Name: "ann"}) {
		if r.Err == nil {
			fmt.Println(r.ServerID, r.Reply.Welcome)
			break // the first good answer will do; the other calls are cancelled
		}
	}
	// Output: desk-1 counted ann
}

func ExampleApp_NotifyAll() {
	lobby, _, stop := pair("example-notifyall/")
	defer stop()
	failed, err := lobby.NotifyAll(context.Background(), "desk.desk.count", &JoinRequest{Name: "ann"})
	fmt.Println(len(failed), err)
	// Output: 0 <nil>
}

func ExampleWithCallMiddleware() {
	lobby, _, stop := pair("example-callmiddleware/", cereus.WithCallMiddleware(
		pipeline.Observe(func(ctx context.Context, _ time.Duration, err error) {
			fmt.Println("called", cereus.CalledRoute(ctx), err)
		}),
	))
	defer stop()
	reply, err := cereus.Call[JoinReply](context.Background(), lobby, "desk.desk.count", &JoinRequest{Name: "ann"})
	must(err)
	fmt.Println(reply.Welcome)
	// Output:
	// called desk.desk.count <nil>
	// counted ann
}

func ExampleApp_SetRouter() {
	lobby, _, stop := pair("example-setrouter/")
	defer stop()
	must(lobby.SetRouter("desk", router.ToRemote, router.LeastLoaded(lobby.LoadOf)))
	reply, err := cereus.Call[JoinReply](context.Background(), lobby, "desk.desk.count", &JoinRequest{Name: "ann"})
	must(err)
	fmt.Println(reply.Welcome)
	// Output: counted ann
}
