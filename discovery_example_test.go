package cereus_test

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
)

// visitors is a listener.
type visitors struct{}

func (visitors) AddServer(e cluster.Event)    { fmt.Println(e.Server.ID, e.Reason) }
func (visitors) RemoveServer(e cluster.Event) { fmt.Println(e.Server.ID, e.Reason) }

// An app has a service discovery from the beginning: what is said of this server,
// and who listens, may be said before it starts.
func ExampleApp_Discovery() {
	app, err := cereus.New(cereus.Backend("room"))
	must(err)
	heard := visitors{}
	d := app.Discovery()
	d.AddListener(heard) // before Start is fine
	d.Pause()            // it will register paused
	fmt.Println(app.Server().State)
	// Output: paused
}

// store is a database, as *sql.DB is one.
type store struct{}

func (store) PingContext(context.Context) error { return nil }

func ExampleWithHealthCheck() {
	database := store{}
	app, err := cereus.New(cereus.Backend("room"), cereus.WithHealthCheck(cluster.HealthCheck{
		Name: "database", Check: func(ctx context.Context) error { return database.PingContext(ctx) },
	}))
	must(err)
	fmt.Println(app.Discovery().Unhealthy())
	// Output: <nil>
}
