package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/logger"
	"github.com/cereus-game/cereus/session"
)

// Server types of the cluster under test.
const (
	typeFront  = "connector"
	typeBack   = "room"
	typeCaller = "caller"
)

// serverSettings are the start of the role "server".
type serverSettings struct {
	Type string
	Etcd string // both empty: standalone
	NATS string
}

// server is a cereus server as users make them, with the default configuration.
type server struct {
	app    *cereus.App
	groups *group.Groups

	nats, prefix string // of the cluster's calls; empty: standalone
}

func newServer(s serverSettings) (*server, error) {
	srv := &server{groups: group.New(group.NewMemoryStore(group.MemoryParams{}))}
	opts := []cereus.Option{cereus.WithLogger(logger.Discard())}
	if s.Type == typeFront {
		opts = append(opts, cereus.Frontend(s.Type), cereus.WithTCP("127.0.0.1:0"), cereus.WithWebSocket("127.0.0.1:0"))
	} else {
		opts = append(opts, cereus.Backend(s.Type))
	}
	if s.NATS == "" {
		opts = append(opts, cereus.Standalone())
	} else {
		c := config.Default()
		c.Cluster.SD.Etcd.Endpoints = []string{s.Etcd}
		c.Cluster.RPC.Client.NATS.Connect, c.Cluster.RPC.Server.NATS.Connect = config.URLs(s.NATS), config.URLs(s.NATS)
		opts = append(opts, cereus.WithConfig(c))
		srv.nats, srv.prefix = s.NATS, c.Cluster.NATS.Prefix
	}
	app, err := cereus.New(opts...)
	if err != nil {
		return nil, err
	}
	srv.app = app
	return srv, errors.Join(
		app.Register(srv, component.WithName(service)),
		app.RegisterRemote(remote{}, component.WithName(service)),
	)
}

// addresses are where a server listens, nothing for a backend.
type addresses struct{ TCP, WS string }

func (s *server) start(ctx context.Context) (addresses, error) {
	if err := s.groups.Create(ctx, "all"); err != nil {
		return addresses{}, err
	}
	if err := s.app.Start(ctx); err != nil {
		return addresses{}, err
	}
	if a := s.app.Addrs(); len(a) == 2 {
		return addresses{TCP: a[0].String(), WS: a[1].String()}, nil
	}
	return addresses{}, nil
}

// Routes lists the handlers.
func (s *server) Routes(r *component.Routes) {
	component.HandleRaw(r, "echo", echo)
	component.HandleRaw(r, "join", s.join)
	component.HandleRaw(r, "broadcast", s.broadcast)
}

func echo(_ context.Context, data []byte) ([]byte, error) { return data, nil }

func (s *server) join(ctx context.Context, uid []byte) ([]byte, error) {
	player, ok := session.FromContext(ctx)
	if !ok {
		return nil, errors.New("no session")
	}
	if err := player.Bind(ctx, string(uid)); err != nil {
		return nil, err
	}
	player.OnClose(func(*session.Session) { _ = s.groups.Remove(context.WithoutCancel(ctx), "all", string(uid)) })
	return uid, s.groups.Add(ctx, "all", string(uid))
}

func (s *server) broadcast(ctx context.Context, data []byte) ([]byte, error) {
	failed, err := s.app.PushToGroup(ctx, cereus.Push{Route: routePush, Payload: data}, s.groups, "all")
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("%d of the members were not reached", len(failed))
	}
	return data, err
}

// remote answers servers.
type remote struct{}

// Routes lists the remotes.
func (remote) Routes(r *component.Routes) {
	component.RemoteRaw(r, "echo", echo, component.WithLimit(manyCalls))
}

// meet waits until the server sees another of the type.
func (s *server) meet(ctx context.Context, serverType string) (int, error) {
	return until(ctx, func() int { return len(s.app.Discovery().ServersByType(serverType)) }, 1)
}

// hold waits until so many players are connected.
func (s *server) hold(ctx context.Context, players int) (int, error) {
	return until(ctx, s.app.Sessions, players)
}

func until(ctx context.Context, count func() int, want int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for count() != want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return count(), fmt.Errorf("waited for %d, there are %d", want, count())
		}
	}
	return want, nil
}
