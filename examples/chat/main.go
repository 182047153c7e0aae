// Command chat is a chat for web pages: two frontends hold the visitors'
// connections, two backends hold the rooms.
//
//	go run ./examples/chat
//
// starts all of it in one process, with an etcd and a NATS of its own, and
// prints two addresses to open in a browser. Every server can also be a process
// of its own, beside a real etcd and NATS (docker compose up):
//
//	go run ./examples/chat -server room-1
//	go run ./examples/chat -server room-2
//	go run ./examples/chat -server connector-1
//	go run ./examples/chat -server connector-2 -page localhost:8081 -ws localhost:3252 -tcp localhost:3260
//
// The game is in game.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/embedded"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// run runs the servers that args ask for, with the options in extra, until ctx
// ends.
func run(ctx context.Context, args []string, out io.Writer, extra ...cereus.Option) error {
	one, host, err := parse(args)
	if err != nil {
		return err
	}
	if one.server != "" {
		return serve(ctx, []spec{one}, out, extra)
	}
	infra, err := embedded.Start(ctx)
	if err != nil {
		return err
	}
	err = serve(ctx, everything(ctx, host, infra, out), out, extra)
	return errors.Join(err, infra.Stop(context.WithoutCancel(ctx)))
}

func parse(args []string) (one spec, host string, err error) {
	set := flag.NewFlagSet("chat", flag.ContinueOnError)
	set.StringVar(&host, "host", "localhost", "listen on this `interface`; 0.0.0.0 lets phones in the same network come")
	set.StringVar(&one.server, "server", "", "run only this server, connector-`N` or room-N, beside an etcd and a NATS that run already")
	set.StringVar(&one.etcd, "etcd", "localhost:2379", "`addresses` of etcd, separated by commas; with -server")
	set.StringVar(&one.nats, "nats", "nats://localhost:4222", "`URL` of NATS; with -server")
	set.StringVar(&one.page, "page", "localhost:8080", "`address` of the web page; with -server connector-N")
	set.StringVar(&one.ws, "ws", "localhost:3251", "`address` for WebSocket clients; with -server connector-N")
	set.StringVar(&one.tcp, "tcp", "localhost:3250", "`address` for TCP clients; with -server connector-N")
	err = set.Parse(args)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("what is %q? There are only flags, see -help", set.Arg(0))
	}
	return one, host, err
}

// serve runs the servers until ctx ends or one of them cannot go on.
func serve(ctx context.Context, specs []spec, out io.Writer, extra []cereus.Option) error {
	s, err := newServers(specs, extra)
	if err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return errors.Join(err, s.stop(ctx))
	}
	s.welcome(out)
	return errors.Join(s.wait(ctx), s.stop(ctx))
}
