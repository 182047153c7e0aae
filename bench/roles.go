package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cereus-game/cereus/embedded"
)

// Roles that a child can have.
const (
	roleBare    = "bare"
	roleServer  = "server"
	roleBrokers = "brokers"
	roleNATS    = "nats"
	roleLoad    = "load"
	roleEtcd    = "etcd"
)

// brokerSettings are the start of the role "brokers".
type brokerSettings struct{ NATS bool } // else etcd

// play is the life of a child.
func play(ctx context.Context, role string) error {
	p := &part{}
	known := commands{
		"usage": does(takeUsage), "settle": does(settleUsage),
		"profile": does(p.profile.start), "profiled": does(p.profile.stop),
	}
	switch role {
	case roleBare:
		known["start"] = does(func(ctx context.Context, s bareSettings) (addresses, error) { return p.startBare(ctx, s, known) })
	case roleServer:
		known["start"] = does(func(ctx context.Context, s serverSettings) (addresses, error) { return p.startServer(ctx, s, known) })
	case roleBrokers:
		known["start"] = does(func(ctx context.Context, s brokerSettings) (string, error) { return p.startBrokers(ctx, s, known) })
	case roleNATS:
		known["start"] = does(func(ctx context.Context, s natsSettings) (string, error) { return p.startNATS(ctx, s, known) })
	case roleEtcd:
		known["start"] = does(func(ctx context.Context, endpoint string) (string, error) {
			return p.startEtcdUser(ctx, endpoint, known)
		})
	case roleLoad:
		held := &idlers{}
		known["echo"], known["fan"] = does(runEcho), does(runFan)
		known["idle"], known["release"] = does(held.open), does(held.close)
		known["bind"], known["login"] = does(held.bind), does(held.login)
	default:
		return fmt.Errorf("unknown role %q", role)
	}
	err := obey(ctx, os.Stdin, os.Stdout, known)
	return errors.Join(err, p.end(ctx))
}

// part is what a child has started.
type part struct {
	profile profile
	stop    func(context.Context) error
}

func (p *part) end(ctx context.Context) error {
	if p.stop == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.stop(ctx)
}

func (p *part) startBare(ctx context.Context, s bareSettings, known commands) (addresses, error) {
	b, err := startBare(ctx, s)
	if err != nil {
		return addresses{}, err
	}
	p.stop = b.stop
	known["hold"] = does(b.hold)
	return addresses{TCP: b.listener.Addr().String()}, nil
}

func (p *part) startServer(ctx context.Context, s serverSettings, known commands) (addresses, error) {
	srv, err := newServer(s)
	if err != nil {
		return addresses{}, err
	}
	a, err := srv.start(ctx)
	if err != nil {
		return addresses{}, err
	}
	p.stop = srv.app.Shutdown
	known["meet"], known["hold"], known["call"] = does(srv.meet), does(srv.hold), does(srv.call)
	known["go"] = does(srv.goCalls)
	return a, nil
}

func (p *part) startBrokers(ctx context.Context, s brokerSettings, known commands) (string, error) {
	without := embedded.WithoutEtcd()
	if !s.NATS {
		without = embedded.WithoutNATS()
	}
	e, err := embedded.Start(ctx, without)
	if err != nil {
		return "", err
	}
	p.stop = e.Stop
	if s.NATS {
		known["subscriptions"] = does(func(context.Context, struct{}) (int, error) { return e.NATSSubscriptions(), nil })
		return e.NATSURL(), nil
	}
	return e.EtcdEndpoints()[0], nil
}

func (p *part) startNATS(ctx context.Context, s natsSettings, known commands) (string, error) {
	n, err := startNATS(ctx, s)
	if err != nil {
		return "", err
	}
	p.stop = func(context.Context) error { n.conn.Close(); return nil }
	known["call"] = does(n.call)
	return s.URL, nil
}

func (p *part) startEtcdUser(ctx context.Context, endpoint string, known commands) (string, error) {
	e, err := startEtcdUser(ctx, endpoint)
	if err != nil {
		return "", err
	}
	p.stop = e.stop
	e.commands(known)
	return endpoint, nil
}
