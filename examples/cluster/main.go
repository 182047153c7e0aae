// Command cluster is one server of the smallest cluster: of type connector, to
// which players connect, or of type room, which answers them. `make cluster`
// runs one connector and two rooms. By hand, each in a terminal of its own:
//
//	go run ./cmd/cereus dev                  # etcd and NATS
//	go run ./examples/cluster room
//	go run ./examples/cluster room           # as many as you like
//	go run ./examples/cluster connector
//	go run ./cmd/cereus repl localhost:3250
//	> request room.hall.greet {"name":"ada"}
//	> request connector.door.rooms
//
// Settings come from the environment, such as CEREUS_CLUSTER_SD_ETCD_ENDPOINTS;
// see docs/configuration.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run runs the server that args ask for until Ctrl-C.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	id := flags.String("id", "", "`name` of the server, unique in the cluster; a random one by default")
	tcp := flags.String("tcp", "localhost:3250", "`address` for players, of a connector")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, _, err := config.Load(config.Options{})
	if err != nil {
		return err
	}
	opts := []cereus.Option{cereus.WithConfig(cfg), cereus.WithLogger(logrus.New()), cereus.WithSignals()}
	if *id != "" {
		opts = append(opts, cereus.WithID(*id))
	}
	var app *cereus.App
	switch serverType := flags.Arg(0); serverType {
	case "room":
		app, err = newRoom(append(opts, cereus.Backend(serverType)))
	case "connector":
		app, err = newConnector(append(opts, cereus.Frontend(serverType), cereus.WithTCP(*tcp)))
	default:
		return errors.New("say which server: cluster [flags] room, or cluster [flags] connector")
	}
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

func newRoom(opts []cereus.Option) (*cereus.App, error) {
	app, err := cereus.New(opts...)
	if err != nil {
		return nil, err
	}
	return app, app.Register(&Hall{app: app}, component.WithName("hall"))
}

func newConnector(opts []cereus.Option) (*cereus.App, error) {
	app, err := cereus.New(opts...)
	if err != nil {
		return nil, err
	}
	return app, app.Register(&Door{app: app}, component.WithName("door"))
}
