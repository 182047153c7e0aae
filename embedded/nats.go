package embedded

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/internal/loopback"
)

// readyPoll is how often a starting NATS node is asked whether it is ready.
const readyPoll = 2 * time.Millisecond

// natsNode is one nats-server that can be stopped and started again.
type natsNode struct {
	name       string
	clusterID  string
	dir        string // JetStream's; empty without JetStream
	routed     bool
	grace, dur time.Duration
	log        logrus.FieldLogger
	work       *lifecycle.Group

	mu        sync.Mutex // serialises start and stop; guards the rest
	port      int        // for clients
	routePort int        // for other nodes
	fixed     bool       // the client port was chosen by the user, or was in use before
	routes    []int      // route ports of the other nodes
	running   *server.Server
	release   []func() // give its ports up, which are reserved while it is stopped
}

func (n *natsNode) start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		return nil
	}
	n.giveUpLocked()
	return bind("nats-server", "embedded.WithNATSPort", n.fixed, func() error { return n.tryStart(ctx) })
}

func (n *natsNode) tryStart(ctx context.Context) error {
	port, routePort, err := n.pickPorts()
	if err != nil {
		return err
	}
	s, err := server.NewServer(n.options(port, routePort))
	if err != nil {
		return fmt.Errorf("nats-server does not start: %w", err)
	}
	log := newNATSLogger(n.log)
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if err := awaitReady(ctx, s, log); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return err
	}
	n.running, n.port, n.routePort, n.fixed = s, port, routePort, true
	return nil
}

func (n *natsNode) pickPorts() (port, routePort int, err error) {
	port, routePort = n.port, n.routePort
	if !n.fixed {
		if port, err = loopback.FreePort(); err != nil {
			return 0, 0, err
		}
	}
	if n.routed && routePort == 0 {
		routePort, err = loopback.FreePort()
	}
	return port, routePort, err
}

func (n *natsNode) options(port, routePort int) *server.Options {
	o := &server.Options{
		ServerName: n.name,
		Host:       loopback.Host,
		Port:       port,
		NoSigs:     true,
		JetStream:  n.dir != "",
		StoreDir:   n.dir,

		LameDuckGracePeriod: n.grace,
		LameDuckDuration:    n.dur,
	}
	if n.routed {
		o.Cluster = server.ClusterOpts{Name: n.clusterID, Host: loopback.Host, Port: routePort, PoolSize: -1}
		routes := n.routes
		if len(routes) == 0 { // JetStream insists on one; a route to oneself is dropped
			routes = []int{routePort}
		}
		for _, port := range routes {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: loopback.Address(port)})
		}
	}
	return o
}

func awaitReady(ctx context.Context, s *server.Server, log *natsLogger) error {
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for !s.ReadyForConnections(time.Millisecond) {
		select {
		case <-poll.C:
		case <-log.died:
			return fmt.Errorf("nats-server does not start: %w", log.err())
		case <-ctx.Done():
			return fmt.Errorf("nats-server was not ready in time: %w", context.Cause(ctx))
		}
	}
	return nil
}

func (n *natsNode) stop(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.running
	if s == nil {
		return nil
	}
	n.running = nil
	done := background(n.work, "nats-server", func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if err := await(ctx, done, "nats-server"); err != nil {
		return err
	}
	n.release = append(n.release, reserve(n.port))
	if n.routed {
		n.release = append(n.release, reserve(n.routePort))
	}
	return nil
}

func (n *natsNode) giveUpPorts() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.giveUpLocked()
}

func (n *natsNode) giveUpLocked() {
	for _, release := range n.release {
		release()
	}
	n.release = nil
}

// lameDuck begins the node's leave and returns; stop cuts it short.
func (n *natsNode) lameDuck() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.running
	if s == nil {
		return fmt.Errorf("NATS node %s does not run: start it with RestartNATS", n.name)
	}
	n.work.Go("lame duck", func(context.Context) { s.LameDuckShutdown() })
	return nil
}

func (n *natsNode) url() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return "nats://" + loopback.Address(n.port)
}

func (n *natsNode) server() *server.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running
}
