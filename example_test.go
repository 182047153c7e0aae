package cereus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/serializer"
	"github.com/cereus-game/cereus/session"
)

// JoinRequest and JoinReply are what a client and the lobby say to each other.
type (
	JoinRequest struct {
		Name string `json:"name"`
	}
	JoinReply struct {
		Welcome string `json:"welcome"`
	}
)

// Lobby is the game of the examples.
type Lobby struct{}

// Join lets a player in.
func (*Lobby) Join(ctx context.Context, req *JoinRequest) (*JoinReply, error) {
	if s, ok := session.FromContext(ctx); ok {
		if err := s.Bind(ctx, req.Name); err != nil {
			return nil, err
		}
	}
	return &JoinReply{Welcome: "hello " + req.Name}, nil
}

// Desk answers other servers.
type Desk struct{}

// Count is a remote.
func (*Desk) Count(ctx context.Context, req *JoinRequest) (*JoinReply, error) {
	var language string
	if _, err := cereus.Value(ctx, "language", &language); err != nil {
		return nil, err
	}
	return &JoinReply{Welcome: strings.TrimSpace("counted " + req.Name + " " + language)}, nil
}

// must keeps the examples short.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// start makes a server of the examples and starts it.
func start(opts ...cereus.Option) *cereus.App {
	app, err := cereus.New(append(opts, cereus.WithLogger(quiet()))...)
	must(err)
	must(app.Register(&Lobby{}, component.WithName("lobby"), component.WithNameFunc(strings.ToLower)))
	must(app.RegisterRemote(&Desk{}, component.WithName("desk"), component.WithNameFunc(strings.ToLower)))
	must(app.Start(context.Background()))
	return app
}

// lone is a frontend without a cluster, and a player on it.
func lone(opts ...cereus.Option) (*cereus.App, *client.Client, func()) {
	ctx := context.Background()
	app := start(append([]cereus.Option{cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0")}, opts...)...)
	player, err := client.Dial(ctx, app.Addrs()[0].String())
	must(err)
	return app, player, func() {
		must(player.Close())
		must(app.Shutdown(ctx))
	}
}

// pair is two servers of a cluster.
func pair(prefix string, opts ...cereus.Option) (lobby, desk *cereus.App, stop func()) {
	infra, err := startShared()
	must(err)
	cfg := config.Default()
	cfg.Cluster.SD.Etcd.Endpoints, cfg.Cluster.SD.Etcd.Prefix = infra.EtcdEndpoints(), prefix
	nats := config.URLs(infra.NATSURL())
	cfg.Cluster.RPC.Client.NATS.Connect, cfg.Cluster.RPC.Server.NATS.Connect = nats, nats
	cfg.Cluster.NATS.Prefix, cfg.Cluster.SD.Etcd.Shutdown.Delay = prefix, 0
	desk = start(cereus.Backend("desk"), cereus.WithID("desk-1"), cereus.WithConfig(cfg))
	lobby = start(append(opts, cereus.Backend("lobby"), cereus.WithConfig(cfg))...)
	return lobby, desk, func() {
		must(lobby.Shutdown(context.Background()))
		must(desk.Shutdown(context.Background()))
	}
}

func Example() {
	ctx := context.Background()
	app, err := cereus.New(cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"))
	must(err)
	must(app.Register(&Lobby{}, component.WithName("lobby"), component.WithNameFunc(strings.ToLower)))
	must(app.Start(ctx))

	player, err := client.Dial(ctx, app.Addrs()[0].String())
	must(err)
	var reply JoinReply
	must(player.Request(ctx, "gate.lobby.join", &JoinRequest{Name: "ann"}, &reply))
	fmt.Println(reply.Welcome, app.Sessions())

	must(player.Close())
	must(app.Shutdown(ctx))
	// Output: hello ann 1
}

func ExampleNew() {
	_, err := cereus.New(cereus.Frontend("gate"), cereus.WithMetadata(map[string]string{"stack": "blue"}))
	fmt.Println(err)
	// Output: a frontend needs an acceptor: give cereus.WithTCP, WithWebSocket or WithAcceptor
}

func ExampleBackend() {
	app, err := cereus.New(cereus.Backend("room"), cereus.WithID("room-1"))
	must(err)
	fmt.Println(app.Server().Type, app.Server().ID, app.Server().Frontend)
	// Output: room room-1 false
}

func ExampleFrontend() {
	app, err := cereus.New(cereus.Frontend("connector"), cereus.WithTCP(":3250"), cereus.WithWebSocket(":3251"))
	must(err)
	fmt.Println(app.Server().Type, len(app.Addrs()), app.Server().Frontend)
	// Output: connector 2 true
}

func ExampleStandalone() {
	app, _, stop := lone()
	defer stop()
	fmt.Println(app.Discovery() == nil)
	// Output: true
}

func ExampleApp_Run() {
	app, err := cereus.New(cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"), cereus.WithSignals())
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(app.Run(ctx)) // until ctx ends or a signal comes
	// Output: <nil>
}

func ExampleApp_Start() {
	app, err := cereus.New(cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"))
	must(err)
	must(app.Start(context.Background()))
	fmt.Println(app.Start(context.Background()))
	must(app.Shutdown(context.Background()))
	// Output: the app was started or shut down before: do this between cereus.New and Start, or make another app
}

func ExampleApp_Shutdown() {
	app, _, stop := lone()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // what is under way may take so long
	defer cancel()
	fmt.Println(app.Shutdown(ctx), app.Sessions())
	// Output: <nil> 0
}

func ExampleApp_Register() {
	app, err := cereus.New(cereus.Backend("room"))
	must(err)
	must(app.Register(&Lobby{}, component.WithName("lobby"), component.WithNameFunc(strings.ToLower))) // room.lobby.join
	fmt.Println(app.Register(&Lobby{}, component.WithName("lobby"), component.WithNameFunc(strings.ToLower)) != nil)
	// Output: true
}

func ExampleApp_RegisterRemote() {
	app, err := cereus.New(cereus.Backend("desk"))
	must(err)
	fmt.Println(app.RegisterRemote(&Desk{})) // desk.Desk.Count
	// Output: <nil>
}

func ExampleApp_RegisterModule() {
	app, err := cereus.New(cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"), cereus.WithLogger(quiet()))
	must(err)
	must(app.RegisterModule(&hooks{name: "database", diary: &diary{}, fail: "init"}))
	fmt.Println(app.Start(context.Background()))
	// Output: database: database fails
}

func ExampleApp_RPC() {
	lobby, _, stop := pair("example-rpc/")
	defer stop()
	var reply JoinReply
	err := lobby.RPC(context.Background(), "desk.desk.count", &reply, &JoinRequest{Name: "ann"})
	fmt.Println(reply.Welcome, err)
	// Output: counted ann <nil>
}

func ExampleCall() {
	lobby, _, stop := pair("example-call/")
	defer stop()
	reply, err := cereus.Call[JoinReply](context.Background(), lobby, "desk.desk.count", &JoinRequest{Name: "ann"},
		cereus.To("desk-1"), cereus.WithTimeout(10*time.Second))
	must(err)
	fmt.Println(reply.Welcome)
	// Output: counted ann
}

func ExampleCallAll() {
	lobby, _, stop := pair("example-callall/")
	defer stop()
	results, err := cereus.CallAll[JoinReply](context.Background(), lobby, "desk.desk.count", &JoinRequest{Name: "ann"})
	must(err)
	for _, r := range results {
		fmt.Println(r.ServerID, r.Reply.Welcome, r.Err)
	}
	// Output: desk-1 counted ann <nil>
}

func ExampleApp_Notify() {
	lobby, _, stop := pair("example-notify/")
	defer stop()
	fmt.Println(lobby.Notify(context.Background(), "desk.desk.count", &JoinRequest{Name: "ann"}))
	// Output: <nil>
}

func ExampleWithValue() {
	lobby, _, stop := pair("example-value/")
	defer stop()
	ctx, err := cereus.WithValue(context.Background(), "language", "en")
	must(err)
	reply, err := cereus.Call[JoinReply](ctx, lobby, "desk.desk.count", &JoinRequest{Name: "ann"})
	must(err)
	fmt.Println(reply.Welcome) // Desk.Count asks for it with cereus.Value
	// Output: counted ann en
}

func ExampleValue() {
	ctx, err := cereus.WithValue(context.Background(), "language", "en")
	must(err)
	var language string
	found, err := cereus.Value(ctx, "language", &language)
	fmt.Println(language, found, err)
	// Output: en true <nil>
}

func ExampleRequestID() {
	fmt.Printf("%q\n", cereus.RequestID(context.Background())) // outside of a handler
	// Output: ""
}

func ExampleApp_Push() {
	ctx := context.Background()
	app, player, stop := lone()
	defer stop()
	must(player.Request(ctx, "lobby.join", &JoinRequest{Name: "ann"}, nil))
	pushed := make(chan string, 1)
	player.OnPush(func(route string, data []byte) { pushed <- route + " " + string(data) })

	failed, err := app.Push(ctx, cereus.Push{Route: "onNews", Payload: map[string]int{"gold": 7}}, "ann", "bob")
	fmt.Println(<-pushed, failed, err)
	// Output: onNews {"gold":7} [bob] <nil>
}

func ExampleApp_PushToGroup() {
	ctx := context.Background()
	app, player, stop := lone()
	defer stop()
	must(player.Request(ctx, "lobby.join", &JoinRequest{Name: "ann"}, nil))
	pushed := make(chan string, 1)
	player.OnPush(func(route string, data []byte) { pushed <- route + " " + string(data) })

	groups := group.New(group.NewMemoryStore(group.MemoryParams{}))
	must(groups.Create(ctx, "blue"))
	must(groups.Add(ctx, "blue", "ann"))
	failed, err := app.PushToGroup(ctx, cereus.Push{Route: "onChat", Payload: "hi"}, groups, "blue")
	fmt.Println(<-pushed, failed, err)
	// Output: onChat "hi" [] <nil>
}

func ExampleApp_Kick() {
	ctx := context.Background()
	app, player, stop := lone()
	defer stop()
	must(player.Request(ctx, "lobby.join", &JoinRequest{Name: "ann"}, nil))
	_, err := app.Kick(ctx, "", "closing time", "ann")
	must(err)
	<-player.Done()
	var end *client.CloseError
	fmt.Println(errors.As(player.Err(), &end), end.Code, end.KickReason, end.Again() == protocol.AgainNever)
	// Output: true 4200 closing time true
}

func ExampleApp_Died() {
	app, _, stop := lone()
	defer stop()
	select {
	case cause := <-app.Died():
		fmt.Println("this server cannot go on:", cause)
	default:
		fmt.Println("fine")
	}
	// Output: fine
}

func ExampleWithConfig() {
	cfg := config.Default()
	cfg.Heartbeat.Interval = 10 * time.Second
	_, player, stop := lone(cereus.WithConfig(cfg))
	defer stop()
	fmt.Println(player.Heartbeat())
	// Output: 10s
}

func ExampleWithSerializer() {
	_, player, stop := lone(cereus.WithSerializer(serializer.Protobuf()))
	defer stop()
	fmt.Println(player.Serializer())
	// Output: protobuf
}

func ExampleWithAcceptor() {
	memory := acceptor.NewMemory() // clients of the same process: memory.Dial
	app := start(cereus.Frontend("gate"), cereus.Standalone(), cereus.WithAcceptor(memory))
	fmt.Println(app.Addrs()[0])
	must(app.Shutdown(context.Background()))
	// Output: memory
}

func ExampleWithRouter() {
	first := func(_ context.Context, _ router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		return servers[0], nil // they are sorted by id
	}
	_, err := cereus.New(cereus.Backend("lobby"), cereus.WithRouter("room", router.ToRemote, first))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithHandlerMiddleware() {
	shout := pipeline.After(func(_ context.Context, out any, err error) (any, error) {
		if reply, ok := out.(*JoinReply); ok {
			reply.Welcome = strings.ToUpper(reply.Welcome)
		}
		return out, err
	})
	_, player, stop := lone(cereus.WithHandlerMiddleware(shout))
	defer stop()
	var reply JoinReply
	must(player.Request(context.Background(), "lobby.join", &JoinRequest{Name: "ann"}, &reply))
	fmt.Println(reply.Welcome)
	// Output: HELLO ANN
}

func ExampleWithRemoteMiddleware() {
	admit := pipeline.Before(func(ctx context.Context, in any) (context.Context, any, error) { return ctx, in, nil })
	_, err := cereus.New(cereus.Backend("desk"), cereus.WithRemoteMiddleware(admit))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithHandshakeValidator() {
	invited := func(_ context.Context, h *protocol.HandshakeRequest) error {
		if h.User["invitation"] == nil {
			return errors.New("not invited")
		}
		return nil
	}
	app := start(cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"), cereus.WithHandshakeValidator("invitation", invited))
	_, err := client.Dial(context.Background(), app.Addrs()[0].String())
	var refused *client.HandshakeError
	fmt.Println(errors.As(err, &refused))
	must(app.Shutdown(context.Background()))
	// Output: true
}

func ExampleWithRouteDictionary() {
	_, player, stop := lone(cereus.WithRouteDictionary(map[string]uint16{"lobby.join": 1}))
	defer stop()
	fmt.Println(player.Dictionary() != nil)
	// Output: true
}
