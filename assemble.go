package cereus

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"

	"github.com/google/uuid"
	"github.com/nats-io/nuid"
	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/internal/agent"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/internal/ratelimit"
	"github.com/cereus-game/cereus/metrics"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/serializer"
	"github.com/cereus-game/cereus/session"
)

// assemble makes every part out of the options, or says everything that is wrong.
func (a *App) assemble() error {
	o := &a.opts
	a.config = cmp.Or(o.config, config.Default())
	a.log = o.log
	if a.log == nil {
		a.log = logrus.New()
	}
	faults := []error{a.checkRole(), a.config.Validate()}
	var err error
	a.dictionary, err = protocol.NewDictionary(o.dictionary)
	faults = append(faults, err)
	a.metrics, err = newMetrics(a.config, o.serverType)
	faults = append(faults, err)
	if err := errors.Join(faults...); err != nil {
		return err
	}
	a.logNotes()
	a.chooseSerializer()
	a.self = a.describe()
	return a.build()
}

// logNotes tells what Load noticed, which nobody else may have looked at.
func (a *App) logNotes() {
	for _, n := range a.config.Notes() {
		a.log.WithFields(logrus.Fields{"key": n.Key, "origin": n.Origin, "note": n.Text}).Warn("the configuration has a setting to look at")
	}
}

func (a *App) checkRole() error {
	switch {
	case a.opts.serverType == "":
		return errors.New("an app needs a role: give cereus.Frontend(type) or cereus.Backend(type)")
	case a.opts.frontend && len(a.opts.acceptors) == 0:
		return errors.New("a frontend needs an acceptor: give cereus.WithTCP, WithWebSocket or WithAcceptor")
	case !a.opts.frontend && len(a.opts.acceptors) > 0:
		return errors.New("a backend takes no clients: drop its acceptors or make it a cereus.Frontend")
	case !cluster.ValidServerName(a.opts.serverType):
		return fmt.Errorf("server type %q: use 1 to 64 of A-Z a-z 0-9 _ . -", a.opts.serverType)
	case a.opts.id != "" && !cluster.ValidServerName(a.opts.id):
		return fmt.Errorf("server id %q: use 1 to 64 of A-Z a-z 0-9 _ . -", a.opts.id)
	}
	return nil
}

func (a *App) chooseSerializer() {
	a.serializer = a.opts.serializer
	if a.serializer == nil {
		a.serializer = serializer.JSON()
		if a.config.SerializerType == config.SerializerProtobuf {
			a.serializer = serializer.Protobuf()
		}
	}
}

func newMetrics(c *config.Config, serverType string) (*metrics.Metrics, error) {
	return metrics.New(metrics.Params{
		Game: c.Metrics.Game, ServerType: serverType,
		ConstLabels: c.Metrics.ConstLabels, AdditionalLabels: c.Metrics.AdditionalLabels,
		Custom: customMetrics(c.Metrics.Custom),
	})
}

// describe is what others learn of this server.
func (a *App) describe() *cluster.Server {
	metadata := map[string]string{}
	if region := a.config.Cluster.Info.Region; region != "" {
		metadata["region"] = region
	}
	maps.Copy(metadata, a.opts.metadata)
	caps := []string{constants.CapOrder, constants.CapPush, constants.CapMerge, constants.CapCancel, constants.CapBundle}
	if a.config.Cluster.Load.Interval > 0 {
		caps = append(caps, constants.CapLoad)
	}
	if a.opts.frontend {
		caps = append(caps, constants.CapSessions)
	}
	host, _ := os.Hostname() // informational: an empty one does no harm
	return &cluster.Server{
		ID: cmp.Or(a.opts.id, uuid.NewString()), Type: a.opts.serverType,
		Metadata: metadata, Frontend: a.opts.frontend, Hostname: host,
		Nonce: nuid.Next(), Caps: caps,
		State: cluster.StateUp,
	}
}

// build makes the parts that have no module of their own to wait for.
func (a *App) build() error {
	if a.self.Frontend {
		a.pool = session.NewPool(session.PoolParams{
			Replaced: a.replaced, Policy: a.sessionPolicy(), CheckUID: a.checkUID, Log: a.log,
		})
		a.gate = acceptor.NewGate(a.config.Conn.Limits.Connections, a.config.Conn.Limits.PerAddress)
		for _, build := range a.opts.acceptors {
			a.acceptors = append(a.acceptors, build(a))
		}
	}
	a.dispatcher = dispatch.New(a.dispatchParams())
	a.wrapCalls(a.opts.calls)
	if a.pool != nil {
		a.host = agent.NewHost(a.hostParams())
	}
	if !a.opts.standalone {
		if err := a.joinCluster(); err != nil {
			return err
		}
	}
	a.makeGroups()
	return nil
}

func (a *App) dispatchParams() dispatch.Params {
	c := a.config
	handlers := a.opts.handlers
	if c.DefaultPipelines.StructValidation.Enabled {
		handlers = append(handlers[:len(handlers):len(handlers)], pipeline.Validate())
	}
	p := dispatch.Params{
		Self: a.self, Router: a.routes(), Table: a.table, Pool: a.pool,
		Serializer: a.serializer, Encoding: a.encoding(),
		Handlers: chained(handlers), Remotes: pipeline.Chain(a.opts.remotes...),
		Loopback: c.Cluster.RPC.Server.LoopbackEnabled, Log: a.log, Metrics: a.metrics,
		Limits: dispatch.Limits{
			Mailbox: c.Conn.Mailbox, SessionWindow: c.Cluster.Window.Session, ServerWindow: c.Cluster.Window.Server,
			PitayaWindow: c.Cluster.Window.Pitaya, Remotes: c.Cluster.RPC.Server.Concurrency,
			Route:   max(1, c.Cluster.RPC.Server.Concurrency*c.Cluster.RPC.Server.RouteShare/100),
			Timeout: c.Cluster.RPC.Client.NATS.RequestTimeout,
		},
	}
	if c.Errors.HidePanics {
		p.HidePanics = func(any) string { return "internal error" }
	}
	return p
}

// chained is nil, which costs nothing, without middleware.
func chained(handlers []pipeline.Middleware) pipeline.Middleware {
	if len(handlers) == 0 {
		return nil
	}
	return pipeline.Chain(handlers...)
}

func (a *App) hostParams() agent.HostParams {
	c := a.config
	p := agent.HostParams{
		Self: a.self, Dispatcher: a.dispatcher, Pool: a.pool, Serializer: a.serializer, Encoding: a.encoding(),
		Decoding: protocol.Decoding{
			Dictionary: a.dictionary, MaxInflated: c.Conn.Limits.Inflated, MaxRatio: c.Conn.Limits.Ratio,
			Intern: a.dispatcher.Intern,
		},
		Heartbeat: c.Heartbeat.Interval, HandshakeTimeout: c.Conn.HandshakeTimeout,
		WriteTimeout: c.Buffer.Agent.ConnTimeout, QueueMessages: c.Buffer.Agent.Messages, QueueBytes: c.Buffer.Agent.Bytes,
		Validators: a.opts.validators, Lenient: a.opts.lenient, Log: a.log, Metrics: a.metrics,
	}
	if limit := c.Conn.RateLimiting; !limit.ForceDisable {
		p.UserRate = ratelimit.Rate{N: limit.User.Limit, Per: limit.User.Interval}
		p.AddressRate = ratelimit.Rate{N: limit.Address.Limit, Per: limit.Address.Interval}
		if a.opts.limited {
			p.Rate = ratelimit.Rate{N: limit.Limit, Per: limit.Interval}
		}
	}
	return p
}

func (a *App) encoding() protocol.Encoding {
	e := protocol.Encoding{Dictionary: a.dictionary}
	if m := a.config.Handler.Messages; m.Compression {
		e.CompressAbove = max(m.CompressionThreshold, 1)
	}
	return e
}

func (a *App) acceptorOptions() []acceptor.Option {
	c := a.config.Conn
	opts := []acceptor.Option{
		acceptor.WithLogger(a.log),
		acceptor.WithMetrics(acceptorMeter{a.metrics}),
		acceptor.WithLimits(acceptor.Limits{
			HandshakeBody: c.Limits.Handshake, Body: c.Limits.Packet, HTTPHeader: c.Limits.HTTPHeader,
			HandshakePacket: c.HandshakeTimeout, Opening: c.HandshakeTimeout,
			ProxyHeader: a.config.Acceptor.ProxyTimeout,
		}),
	}
	if a.config.Acceptor.ProxyProtocol {
		opts = append(opts, acceptor.WithProxyProtocol(a.trustedProxies()...))
	}
	if c.Limits.Connections > 0 || c.Limits.PerAddress > 0 {
		opts = append(opts, acceptor.WithGate(a.gate))
	}
	return opts
}

// webSocketOptions are acceptorOptions and what concerns HTTP only.
func (a *App) webSocketOptions() []acceptor.Option {
	opts := a.acceptorOptions()
	switch a.config.Acceptor.Proxies.Header {
	case "x-forwarded-for":
		opts = append(opts, acceptor.WithForwarded(acceptor.HeaderXForwardedFor, a.trustedProxies()...))
	case "forwarded":
		opts = append(opts, acceptor.WithForwarded(acceptor.HeaderForwarded, a.trustedProxies()...))
	}
	return opts
}

func (a *App) trustedProxies() (networks []netip.Prefix) {
	for _, text := range a.config.Acceptor.Proxies.Trusted {
		if network, err := config.ParseNetwork(text); err == nil { // the configuration was checked
			networks = append(networks, network)
		}
	}
	return networks
}

// addModules puts everything into the order of the start.
func (a *App) addModules() {
	a.sequence.Patience = a.config.Shutdown.Timeout
	if a.config.Admin.Address != "" {
		a.sequence.Add(a.admin())
	}
	if a.discovery != nil {
		a.sequence.Add(a.discovery, ownID{a.discovery})
	}
	a.sequence.Add(a.dispatcher)
	a.sequence.Add(a.links...)
	if a.host != nil {
		a.sequence.Add(a.host)
	}
	a.sequence.Add(groupsModule{a.groups, a})
	a.sequence.Add(a.modules...)
	for _, c := range a.table.Components() {
		a.sequence.Add(asModule{c})
	}
}

func (a *App) sessionPolicy() session.Policy {
	switch c := a.config.Session; c.Policy {
	case config.SessionPerDevice:
		return session.Policy{PerUser: c.PerUser, Device: c.Device}
	case config.SessionsSeveral:
		return session.Policy{PerUser: c.PerUser}
	}
	return session.Policy{}
}

// replaced ends the session of a user who logged in again on this frontend
// (wire.md 10.3 and 10.6).
func (a *App) replaced(old *session.Session) {
	if p, ok := old.Entity().(*agent.Agent); ok && a.config.Session.Unique {
		p.Replace()
		return
	}
	old.Close(protocol.ReasonReplaced)
}
