package cereus

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/internal/feed"
)

// joinCluster makes the parts that meet other servers.
func (a *App) joinCluster() error {
	var err error
	if a.discovery, err = cluster.NewEtcdDiscovery(a.etcdParams()); err != nil {
		return err
	}
	a.metrics.WatchDiscovery(a.discovery)
	a.discovery.AddListener(&serverCounts{metrics: a.metrics, count: make(map[string]int)})
	rpc := a.config.Cluster.RPC
	out, err := cluster.NewNATSTransport(a.natsParams("client", rpc.Client.NATS.NATSConnection))
	if err != nil {
		return fmt.Errorf("key cluster.rpc.client.nats.connect: %w", err)
	}
	in, err := cluster.NewNATSTransport(a.natsParams("server", rpc.Server.NATS.NATSConnection))
	if err != nil {
		return fmt.Errorf("key cluster.rpc.server.nats.connect: %w", err)
	}
	prefix := a.config.Cluster.NATS.Prefix
	a.client = cluster.NewRPCClient(cluster.RPCClientParams{
		Self: a.self, Transport: out, Prefix: prefix, Timeout: rpc.Client.NATS.RequestTimeout,
		Log: a.log, Metrics: rpcMeter{metrics: a.metrics},
	})
	a.server = cluster.NewRPCServer(cluster.RPCServerParams{
		Self: a.self, Transport: in, Prefix: prefix, Handler: a.dispatcher, Users: dispatch.Users{D: a.dispatcher},
		Log: a.log, Metrics: rpcMeter{metrics: a.metrics},
	})
	a.reporter = cluster.NewLoadReporter(a.loadParams(in))
	a.dispatcher.Loads = a.reporter.Loads().Of
	a.links = []Module{out, a.client, in, a.server, a.reporter}
	a.dispatcher.Join(a.discovery, a.client)
	a.bindings = cluster.NewBindings(a.bindingsParams())
	a.discovery.AddListener(a.bindings)
	a.links = append(a.links, a.bindings)
	if a.pool != nil {
		a.joinAsFrontend()
	}
	return nil
}

// joinAsFrontend makes the parts that tell other servers of the players here.
func (a *App) joinAsFrontend() {
	a.host.Fenced = func() bool { return a.discovery.Fenced() || aside(a.discovery.Self()) != nil }
	subjects := newUserSubjects(a.server, a.log)
	subjects.always = a.opts.filter != nil || len(a.config.Cluster.SD.Etcd.ServerTypesBlacklist) > 0
	subjects.hook(a.pool)
	switch c := a.config.Session; {
	case !c.Unique || c.Policy == config.SessionsSeveral:
	case c.Policy == config.SessionPerDevice:
		a.pool.OnBind(a.announceDevice)
	default:
		a.dispatcher.Heard, a.dispatcher.Asked = a.bindings.Heard, a.bindings.Asked
		hookBindings(a.pool, a.bindings)
	}
	sessions := feed.NewFeed(a.self.Nonce, a.pool, func(e *clusterpb.SessionEvents) error { return a.client.TellSessions(a.self, e) })
	a.dispatcher.Sessions = sessions.Answer
	a.links = append(a.links, subjects, sessions)
	if a.config.Modules.BindingStorage.Enabled {
		plain := newPlainBindings(a)
		plain.hook()
		a.links = append(a.links, plain)
	}
	a.discovery.AddListener(subjects)
}

func (a *App) bindingsParams() cluster.BindingsParams {
	return cluster.BindingsParams{
		Self: a.self, Discovery: a.discovery, Ask: a.dispatcher.AskBound, Ended: a.boundElsewhere,
		Announce: func(m *clusterpb.BindMsg) error { return a.client.AnnounceBind(a.self.Type, m) },
		OnLoss:   cluster.Policy(a.config.Cluster.SD.Etcd.OnLoss), Log: a.log,
	}
}

func (a *App) loadParams(in cluster.Transport) cluster.LoadParams {
	a.loadValues.log, a.loadValues.metrics = a.log, a.metrics
	return cluster.LoadParams{
		Self: a.self, Transport: in, Prefix: a.config.Cluster.NATS.Prefix, Discovery: a.discovery,
		Interval: a.config.Cluster.Load.Interval, Sessions: a.Sessions, InFlight: a.inFlight, Values: a.loadValues.read,
		Heard: a.discovery.Trust,
		Log:   a.log, Metrics: loadMeter{a.metrics},
	}
}

func (a *App) etcdParams() cluster.EtcdParams {
	c := a.config.Cluster.SD.Etcd
	conn := etcdConnection(c.EtcdConnection)
	return cluster.EtcdParams{
		Self: a.self, Log: a.log, Die: a.die, Metrics: discoveryMeter{a.metrics},
		Client: a.opts.etcd, Clients: &a.etcd, Endpoints: conn.Endpoints, Username: conn.Username, Password: conn.Password,
		TLSFiles: conn.TLSFiles, DialTimeout: conn.DialTimeout, Prefix: c.Prefix, BootTimeout: a.config.Boot.Timeout,
		TTL: c.Heartbeat.TTL, HeartbeatLog: c.Heartbeat.Log, OnLoss: cluster.Policy(c.OnLoss),
		SyncInterval: c.SyncServers.Interval, SyncParallelism: c.SyncServers.Parallelism,
		RevokeTimeout: c.Revoke.Timeout, GrantTimeout: c.GrantLease.Timeout,
		GrantMaxRetries: c.GrantLease.MaxRetries, GrantRetryInterval: c.GrantLease.RetryInterval,
		ShutdownDelay: c.Shutdown.Delay, TypesBlacklist: c.ServerTypesBlacklist,
		Filter: a.opts.filter, Health: cluster.Health{
			Checks: a.opts.checks, Interval: c.Health.Interval, Timeout: c.Health.Timeout,
			Failures: c.Health.Failures, Passes: c.Health.Passes,
		},
	}
}

func (a *App) natsParams(name string, c config.NATSConnection) cluster.NATSParams {
	return cluster.NATSParams{
		URL: string(c.Connect), Name: a.self.Type + "/" + a.self.ID + " " + name,
		DialTimeout: c.ConnectionTimeout, BootTimeout: a.config.Boot.Timeout,
		Options: []nats.Option{
			nats.MaxReconnects(c.MaxReconnectionRetries),
			nats.ReconnectWait(c.ReconnectWait),
			nats.ReconnectJitter(c.ReconnectJitter, c.ReconnectJitterTLS),
			nats.PingInterval(c.PingInterval),
			nats.MaxPingsOutstanding(c.MaxPingsOutstanding),
			nats.FlusherTimeout(c.FlusherTimeout),
			nats.Compression(c.WebsocketCompression),
		},
		Log: a.log.WithField("nats", name), Metrics: &natsMeter{rpcMeter: rpcMeter{a.metrics}, connection: name}, Die: a.die,
		Connected: func() { a.bindings.Compare() }, // what other servers said meanwhile was not heard
	}
}
