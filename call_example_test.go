package cereus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/router"
)

// Seat asks for a seat, Seated is the answer.
type (
	Seat   struct{ Player string }
	Seated struct{ Room string }
)

// errFull is an error of the game. Every server of the cluster knows it again.
var errFull = errs.New("GAME-1", "the room is full")

// Table is what rooms have for other servers.
type Table struct{ room string }

// Routes are room.table.seat and room.table.close.
func (t *Table) Routes(r *component.Routes) {
	component.Remote(r, "seat", t.Seat, component.WithLimit(100)) // at once; what comes beyond is refused with Busy
	component.RemoteRaw(r, "close", t.Close)
}

// Seat gives a player a seat.
func (t *Table) Seat(ctx context.Context, s *Seat) (*Seated, error) {
	if s.Player == "" {
		return nil, errFull
	}
	if err := ctx.Err(); err != nil { // the caller waits no more
		return nil, err
	}
	return &Seated{Room: t.room}, nil
}

// Close ends the games.
func (t *Table) Close(context.Context, []byte) ([]byte, error) { return []byte(t.room), nil }

// rooms is a server that calls, and two rooms.
func rooms(prefix string, opts ...cereus.Option) (match *cereus.App, stop func()) {
	infra, err := startShared()
	must(err)
	cfg := config.Default()
	cfg.Cluster.SD.Etcd.Endpoints, cfg.Cluster.SD.Etcd.Prefix = infra.EtcdEndpoints(), prefix
	nats := config.URLs(infra.NATSURL())
	cfg.Cluster.RPC.Client.NATS.Connect, cfg.Cluster.RPC.Server.NATS.Connect = nats, nats
	cfg.Cluster.NATS.Prefix, cfg.Cluster.SD.Etcd.Shutdown.Delay = prefix, 0
	cfg.Cluster.RPC.Client.NATS.RequestTimeout = patience
	var apps []*cereus.App
	for _, id := range []string{"room-1", "room-2"} {
		app, err := cereus.New(cereus.Backend("room"), cereus.WithID(id), cereus.WithConfig(cfg), cereus.WithLogger(quiet()))
		must(err)
		must(app.RegisterRemote(&Table{room: id}, component.WithName("table")))
		must(app.Start(context.Background()))
		apps = append(apps, app)
	}
	match = start(append(opts, cereus.Backend("match"), cereus.WithConfig(cfg))...)
	return match, func() {
		for _, app := range append(apps, match) {
			must(app.Shutdown(context.Background()))
		}
	}
}

// awaitLeader returns when the rooms have a leader.
func awaitLeader(ctx context.Context, d *cluster.EtcdDiscovery) {
	now := d.Snapshot()
	if _, led := now.Leader("room"); led {
		return
	}
	for e, err := range d.Follow(ctx, now.Seq()) {
		must(err)
		if e.Kind == cluster.EventLeader && e.Type == "room" && e.Reason != cluster.ReasonVacant {
			return
		}
	}
}

func ExampleWithKey() {
	app, stop := rooms("example-key/")
	defer stop()
	ctx := context.Background()
	ann, err := cereus.Call[Seated](ctx, app, "room.table.seat", &Seat{Player: "ann"}, cereus.WithKey("match-7"))
	must(err)
	bob, err := cereus.Call[Seated](ctx, app, "room.table.seat", &Seat{Player: "bob"}, cereus.WithKey("match-7"))
	must(err)
	fmt.Println(ann.Room == bob.Room)
	// Output: true
}

func ExampleToLeader() {
	app, stop := rooms("example-leader/")
	defer stop()
	ctx := context.Background()
	awaitLeader(ctx, app.Discovery())
	room, err := cereus.Call[[]byte](ctx, app, "room.table.close", nil, cereus.ToLeader())
	must(err)
	fmt.Println("games end on", string(*room))
	// Output: games end on room-1
}

func ExampleIdempotent() {
	app, stop := rooms("example-idempotent/")
	defer stop()
	ctx := context.Background()
	seated, err := cereus.Call[Seated](ctx, app, "room.table.seat", &Seat{Player: "ann"},
		cereus.Idempotent(), cereus.WithTimeout(2*time.Second)) // it may run on both rooms
	must(err)
	fmt.Println(strings.HasPrefix(seated.Room, "room-"))
	// Output: true
}

func ExampleQuorum() {
	app, stop := rooms("example-quorum/")
	defer stop()
	ctx := context.Background()
	results, err := cereus.CallAll[Seated](ctx, app, "room.table.seat", &Seat{Player: "ann"}, cereus.Quorum(2))
	fmt.Println(err) // nil: two rooms, at least, have answered well
	for _, r := range results {
		fmt.Println(r.ServerID, r.Reply, r.Err)
	}
	// Output:
	// <nil>
	// room-1 &{room-1} <nil>
	// room-2 &{room-2} <nil>
}

func ExampleCallEach() {
	app, stop := rooms("example-each/")
	defer stop()
	ctx := context.Background()
	for r := range cereus.CallEach[Seated](ctx, app, "room.table.seat", &Seat{Player: "ann"}) {
		if r.Err != nil {
			continue // r.ServerID says whose error it is
		}
		fmt.Println("the quickest was asked:", r.Reply.Room == r.ServerID)
		break // the others are told that nobody waits any more
	}
	// Output: the quickest was asked: true
}

func ExampleApp_NotifyAll() {
	app, stop := rooms("example-notifyall/")
	defer stop()
	ctx := context.Background()
	failed, err := app.NotifyAll(ctx, "room.table.close", nil)
	must(err)
	for id, err := range failed {
		fmt.Println(id, "did not take it:", err)
	}
	fmt.Println(len(failed))
	// Output: 0
}

// What may be done after an error depends on whether the call may have run.
func ExampleApp_RPC_errors() {
	app, stop := rooms("example-errors/")
	defer stop()
	ctx := context.Background()
	var seated Seated
	err := app.RPC(ctx, "room.table.seat", &seated, &Seat{Player: ""})
	switch {
	case err == nil:
		fmt.Println("seated in", seated.Room)
	case errors.Is(err, errFull):
		fmt.Println("the game says no")
	case cluster.IsUndelivered(err), cluster.IsRefused(err):
		fmt.Println("it did not run: make it again, later")
	case errors.Is(err, errs.ErrTimeout), cluster.IsMaybe(err):
		fmt.Println("it may have run: look before it is made again")
	default:
		fmt.Println(errs.CodeOf(err), err)
	}
	// Output: the game says no
}

func ExampleWithCallMiddleware() {
	observe := pipeline.Observe(func(ctx context.Context, _ time.Duration, err error) {
		fmt.Println(cereus.CalledRoute(ctx), err)
	})
	named := pipeline.Before(func(ctx context.Context, in any) (context.Context, any, error) {
		if s, ok := in.(*Seat); ok && s.Player == "" {
			return ctx, in, errs.New(errs.CodeBadRequest, "a seat needs a player") // nothing is sent
		}
		return ctx, in, nil
	})
	app, stop := rooms("example-middleware/", cereus.WithCallMiddleware(observe, named))
	defer stop()
	ctx := context.Background()
	must(app.RPC(ctx, "room.table.seat", nil, &Seat{Player: "ann"}))
	_ = app.RPC(ctx, "room.table.seat", nil, &Seat{})
	// Output:
	// room.table.seat <nil>
	// room.table.seat a seat needs a player
}

func ExampleApp_SetRouter() {
	app, err := cereus.New(cereus.Frontend("gate"), cereus.WithTCP(":3250"))
	must(err)
	must(app.SetRouter("room", 0, router.LeastLoaded(app.LoadOf)))
	must(app.SetRouter("hall", router.ToHandler, router.Sticky(
		router.Zone(router.ZoneParams{Metadata: "region", Zone: "eu"}, router.LeastLoaded(app.LoadOf)),
		router.StickyParams{Moved: func(m router.Move) { fmt.Println(m.UID, "goes from", m.From, "to", m.To) }},
	)))
	fmt.Println(app.SetRouter("", router.ToRemote, router.Random()))
	// Output: a router for every type is for handlers and remotes: give it kind 0
}

func ExampleApp_OnMoved() {
	cfg := config.Default()
	cfg.Cluster.Router.Types = map[string]config.RouterPolicy{"room": {Policy: config.PolicySticky}}
	app, err := cereus.New(cereus.Frontend("gate"), cereus.WithTCP(":3250"), cereus.WithConfig(cfg))
	must(err)
	must(app.OnMoved(func(m router.Move) { fmt.Println(m.UID, "goes from", m.From, "to", m.To) }))
	fmt.Println(app.OnMoved(nil))
	// Output: OnMoved(nil): pass a function
}
