package cereus_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/session"
)

// Entry asks to be let in, Entered is the answer.
type (
	Entry   struct{ Name string }
	Entered struct{ Team string }
)

// team is a key of session data. The type of its values holds on every server.
var team = session.NewKey[string]("team")

// Door is the game of a backend.
type Door struct{ app *cereus.App }

// Routes is club.door.enter.
func (d *Door) Routes(r *component.Routes) {
	component.Handle(r, "enter", d.Enter, component.WithRate(5, time.Second)) // for each session
}

// Enter logs a player in.
func (d *Door) Enter(ctx context.Context, e *Entry) (*Entered, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errors.New("only players may enter")
	}
	if err := s.Bind(ctx, e.Name); err != nil { // who was logged in by this name is replaced
		return nil, err
	}
	if err := team.Set(s, "red"); err != nil {
		return nil, err
	}
	if err := s.Save(ctx); err != nil { // from now on every server sees it
		return nil, err
	}
	gate, err := d.app.GroupHolder(s) // the frontend that the player is on
	if err != nil {
		return nil, err
	}
	err = d.app.Groups().Add(ctx, "guests", s.UID(), group.UntilUnbind(gate))
	if err != nil && !errors.Is(err, group.ErrMemberExists) { // who came back is held by the new frontend
		return nil, err
	}
	return &Entered{Team: "red"}, nil
}

// club is a frontend with a player on it, and a backend that prepare may change
// before it starts. Groups are in etcd.
func club(prefix string, prepare func(app *cereus.App)) (app *cereus.App, player *client.Client, stop func()) {
	infra, err := startShared()
	must(err)
	cfg := config.Default()
	cfg.Cluster.SD.Etcd.Endpoints, cfg.Cluster.SD.Etcd.Prefix = infra.EtcdEndpoints(), prefix
	nats := config.URLs(infra.NATSURL())
	cfg.Cluster.RPC.Client.NATS.Connect, cfg.Cluster.RPC.Server.NATS.Connect = nats, nats
	cfg.Cluster.NATS.Prefix, cfg.Cluster.SD.Etcd.Shutdown.Delay = prefix, 0
	cfg.Groups.Store, cfg.Groups.Etcd.Endpoints, cfg.Groups.Etcd.Prefix = config.GroupsInEtcd, infra.EtcdEndpoints(), prefix
	ctx := context.Background()

	app, err = cereus.New(cereus.Backend("club"), cereus.WithConfig(cfg), cereus.WithLogger(quiet()))
	must(err)
	must(app.Register(&Door{app: app}, component.WithName("door")))
	prepare(app)
	must(app.Start(ctx))
	must(app.Groups().Create(ctx, "guests"))
	gate := start(cereus.Frontend("gate"), cereus.WithID("gate-1"), cereus.WithTCP("127.0.0.1:0"), cereus.WithConfig(cfg))
	awaitServer(ctx, app.Discovery(), "gate-1")
	player, err = client.Dial(ctx, gate.Addrs()[0].String())
	must(err)
	return app, player, func() {
		must(player.Close())
		must(gate.Shutdown(ctx))
		must(app.Shutdown(ctx))
	}
}

// awaitServer returns when d knows the server.
func awaitServer(ctx context.Context, d *cluster.EtcdDiscovery, id string) {
	seen := d.Snapshot().Seq()
	if _, known := d.Server(id); known {
		return
	}
	for e, err := range d.Follow(ctx, seen) {
		must(err)
		if e.Server != nil && e.Server.ID == id {
			return
		}
	}
}

func ExampleApp_Locate() {
	app, player, stop := club("example-locate/", func(*cereus.App) {})
	defer stop()
	ctx := context.Background()
	must(player.Request(ctx, "club.door.enter", &Entry{Name: "ann"}, nil))

	at, err := app.Locate(ctx, "ann", "bob")
	must(err)
	fmt.Println(at["ann"].ServerID, len(at))
	friends, err := app.Online(ctx, "ann", "bob")
	fmt.Println(friends, err)
	// Output:
	// gate-1 1
	// [ann] <nil>
}

func ExampleApp_WatchSessions() {
	heard := make(chan session.Event, 8)
	_, player, stop := club("example-watch/", func(app *cereus.App) {
		must(app.WatchSessions("gate", func(_ context.Context, e session.Event) { heard <- e }))
	})
	defer stop()
	tell := func(e session.Event) { fmt.Printf("%s %s on %s %q\n", e.UID, e.Kind, e.Frontend, e.Reason) }
	must(player.Request(context.Background(), "club.door.enter", &Entry{Name: "ann"}, nil))
	tell(<-heard)
	must(player.Close())
	tell(<-heard)
	// Output:
	// ann bound on gate-1 ""
	// ann closed on gate-1 "left"
}

func ExampleApp_OnBound() {
	app, err := cereus.New(cereus.Frontend("gate"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"))
	must(err)
	must(app.OnBound(func(ctx context.Context, s *session.Session, uid string) error {
		if uid == "mallory" {
			return errors.New("not you") // the login fails with this
		}
		s.OnClose(func(s *session.Session) {
			reason, _ := s.Ended()
			fmt.Println(s.UID(), "is gone:", reason)
		})
		return nil
	}))
	fmt.Println(app.OnBound(nil))
	// Output: OnBound(nil): pass a function
}

// guests prints who comes and goes.
type guests chan string

func (g guests) MemberJoined(name string, m group.Member) { g <- m.UID + " joined " + name }

func (g guests) MemberLeft(name string, m group.Member, why group.Reason) {
	g <- m.UID + " left " + name + ": " + string(why)
}

func (g guests) Missed() {} // the changes told next lead to what is true now

func ExampleApp_Groups() {
	app, player, stop := club("example-groups/", func(*cereus.App) {})
	defer stop()
	ctx := context.Background()
	heard := make(guests, 8)
	unwatch, err := app.Groups().Watch(ctx, heard)
	must(err)
	defer unwatch()

	must(player.Request(ctx, "club.door.enter", &Entry{Name: "ann"}, nil))
	failed, err := app.PushToGroup(ctx, cereus.Push{FrontendType: "gate", Route: "onChat", Payload: "hi"}, app.Groups(), "guests")
	fmt.Println(failed, err)
	must(player.Close())
	fmt.Println(<-heard)
	fmt.Println(<-heard)
	// Output:
	// [] <nil>
	// ann joined guests
	// ann left guests: left
}

func ExamplePriority() {
	ctx := context.Background()
	app, player, stop := lone()
	defer stop()
	pushed := make(chan string, 1)
	player.OnPush(func(route string, data []byte) { pushed <- route + " " + string(data) })
	must(player.Request(ctx, "lobby.join", &JoinRequest{Name: "ann"}, nil))

	where := cereus.Push{Route: "onMove", Payload: []int{3, 4}, Priority: cereus.Latest, Key: "bob"}
	failed, err := app.Push(ctx, where, "ann") // in place of where bob was before, if ann has not been sent that yet
	fmt.Println(<-pushed, failed, err)
	// Output: onMove [3,4] [] <nil>
}
