package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/group"
)

// stopTimeout bounds the orderly end of everything.
const stopTimeout = 10 * time.Second

// spec says which server to run and where.
type spec struct {
	server, etcd, nats, page, ws, tcp string
}

// everything is the four servers of one process. Ports that others use are
// replaced by free ones, which out is told.
func everything(ctx context.Context, host string, infra *embedded.Cluster, out io.Writer) []spec {
	etcd := strings.Join(infra.EtcdEndpoints(), ",")
	at := func(port string) string { return freeAddress(ctx, host, port, out) }
	return []spec{
		{server: "room-1", etcd: etcd, nats: infra.NATSURL()},
		{server: "room-2", etcd: etcd, nats: infra.NATSURL()},
		{server: "connector-1", etcd: etcd, nats: infra.NATSURL(), page: at("8080"), ws: at("3251"), tcp: at("3250")},
		{server: "connector-2", etcd: etcd, nats: infra.NATSURL(), page: at("8081"), ws: at("3252"), tcp: at("3260")},
	}
}

// freeAddress is host with port, or with port 0, a free one, if port is in use.
func freeAddress(ctx context.Context, host, port string, out io.Writer) string {
	wanted := net.JoinHostPort(host, port)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", wanted)
	if err != nil {
		_, _ = fmt.Fprintf(out, "Port %s is in use, so a free one takes its place.\n", port)
		return net.JoinHostPort(host, "0")
	}
	_ = listener.Close()
	return wanted
}

// servers are those of this process, in the order of their start.
type servers struct {
	etcd  *clientv3.Client
	log   *logrus.Logger
	extra []cereus.Option
	apps  []*cereus.App
	pages []*Page
}

// newServers makes the servers, all of them with the options in extra.
func newServers(specs []spec, extra []cereus.Option) (*servers, error) {
	s := &servers{log: logrus.New(), extra: extra}
	s.log.SetLevel(logrus.WarnLevel)
	var err error
	s.etcd, err = clientv3.New(clientv3.Config{Endpoints: strings.Split(specs[0].etcd, ","), DialTimeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	for _, one := range specs {
		if err := s.add(one); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", one.server, err), s.etcd.Close())
		}
	}
	return s, nil
}

func (s *servers) add(one spec) error {
	switch kind, _, _ := strings.Cut(one.server, "-"); kind {
	case "connector":
		return s.addConnector(one)
	case "room":
		return s.addRoom(one)
	}
	return errors.New("there are servers connector-1, connector-2 and so on, and room-1, room-2 and so on")
}

func (s *servers) addConnector(one spec) error {
	app, err := s.app(one, cereus.Frontend("connector"), cereus.WithWebSocket(one.ws), cereus.WithTCP(one.tcp))
	if err != nil {
		return err
	}
	door := newDoor(app)
	page := NewPage(app, one.page)
	s.pages = append(s.pages, page)
	return errors.Join(
		app.RegisterModule(page),
		app.RegisterRemote(door, component.WithName("door")),
		app.OnBound(door.Enter),
	)
}

func (s *servers) addRoom(one spec) error {
	app, err := s.app(one, cereus.Backend("room"))
	if err != nil {
		return err
	}
	return app.Register(&Chat{
		app:     app,
		groups:  group.New(group.NewEtcdStore(group.EtcdParams{Client: s.etcd})),
		history: &History{etcd: s.etcd},
	}, component.WithName("chat"))
}

func (s *servers) app(one spec, opts ...cereus.Option) (*cereus.App, error) {
	cfg := config.Default()
	cfg.Heartbeat.Interval = 10 * time.Second           // a lost connection is noticed in half a minute
	cfg.Cluster.SD.Etcd.Heartbeat.TTL = 5 * time.Second // a crashed server in five seconds
	cfg.Cluster.SD.Etcd.Endpoints = s.etcd.Endpoints()
	cfg.Cluster.RPC.Client.NATS.Connect = config.URLs(one.nats)
	cfg.Cluster.RPC.Server.NATS.Connect = config.URLs(one.nats)
	app, err := cereus.New(append(append(opts,
		cereus.WithID(one.server), cereus.WithConfig(cfg), cereus.WithEtcdClient(s.etcd), cereus.WithLogger(s.log.WithField("server", one.server)),
	), s.extra...)...)
	if err == nil {
		s.apps = append(s.apps, app)
	}
	return app, err
}

func (s *servers) start(ctx context.Context) error {
	for _, app := range s.apps {
		if err := app.Start(ctx); err != nil {
			return fmt.Errorf("%s: %w", app.Server().ID, err)
		}
	}
	return nil
}

// wait returns when ctx ends, or with the reason why a server cannot go on.
func (s *servers) wait(ctx context.Context) error {
	died := make(chan error, len(s.apps))
	watching, enough := context.WithCancel(ctx)
	var watch sync.WaitGroup
	for _, app := range s.apps {
		watch.Go(func() {
			select {
			case cause := <-app.Died():
				died <- fmt.Errorf("%s: %w", app.Server().ID, cause)
				enough()
			case <-watching.Done():
			}
		})
	}
	watch.Wait()
	enough()
	select {
	case cause := <-died:
		return cause
	default:
		return nil
	}
}

// stop ends the frontends, whose visitors say goodbye to the rooms, and then
// the rooms.
func (s *servers) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var faults []error
	for _, frontend := range []bool{true, false} {
		var stopping errgroup.Group
		for _, app := range s.apps {
			if app.Server().Frontend == frontend {
				stopping.Go(func() error { return app.Shutdown(ctx) })
			}
		}
		faults = append(faults, stopping.Wait())
	}
	return errors.Join(append(faults, s.etcd.Close())...)
}

// welcome says where everything is.
func (s *servers) welcome(out io.Writer) {
	var text strings.Builder
	for _, page := range s.pages {
		addrs := page.app.Addrs()
		fmt.Fprintf(&text, "  %-12s open http://%s   (ws://%s, tcp://%s)\n", page.app.Server().ID, shown(page.Addr()), shown(addrs[0]), shown(addrs[1]))
	}
	for _, app := range s.apps {
		if !app.Server().Frontend {
			fmt.Fprintf(&text, "  %-12s is up\n", app.Server().ID)
		}
	}
	_, _ = fmt.Fprintf(out, "The chat is open:\n\n%s\nCtrl-C ends it.\n", text.String())
}

// shown is an address that a client on this machine can use.
func shown(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
}
