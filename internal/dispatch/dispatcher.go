package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/metrics"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/serializer"
	"github.com/cereus-game/cereus/session"
)

// caller is what dispatch needs of the RPC client.
type caller interface {
	// Go sends req, which it does not keep, and calls done exactly once, without
	// blocking either way.
	Go(to *cluster.Server, req *clusterpb.Request, timeout time.Duration, done func(*clusterpb.Response, error))
	// Call sends req, which it does not keep, and waits for the outcome.
	Call(ctx context.Context, to *cluster.Server, req *clusterpb.Request) (*clusterpb.Response, error)
	// Epoch rises whenever messages may take another way than those before.
	Epoch() uint64
	// Abandon fails the calls that wait for a run of a server that is gone, as
	// ones that may have run, and returns how many there were.
	Abandon(to *cluster.Server) int
}

// pusher is what dispatch needs to reach players of other servers.
type pusher interface {
	// PushToUser reaches the user on whichever frontend of the type holds it.
	PushToUser(frontendType, uid string, push *clusterpb.Push) error
	// PushToFrontend reaches users of one server that has CapPush.
	PushToFrontend(to *cluster.Server, push *clusterpb.Push) error
	// PushToFrontends reaches users of all servers of the type that have CapPush.
	PushToFrontends(frontendType string, push *clusterpb.Push) error
	// KickUser closes the user's connection on whichever frontend of the type holds it.
	KickUser(frontendType, uid string, kick *clusterpb.KickMsg) error
	// KickOnFrontends closes those on all servers of the type that have CapPush.
	KickOnFrontends(frontendType string, kick *clusterpb.KickMsg) error
}

// Client is how calls and pushes reach other servers; *cluster.RPCClient is one.
type Client interface {
	caller
	pusher
}

// Limits bound what is in progress; see docs/configuration.md.
type Limits struct {
	Mailbox       int           // messages of one session that wait
	SessionWindow int           // unanswered forwards of one session to one server
	ServerWindow  int           // unanswered forwards of this server to one server
	PitayaWindow  int           // the same towards a Pitaya server, which drops what it cannot queue
	Remotes       int           // remotes running at once
	Route         int           // of one route, unless it has a limit of its own; 0: no limit
	Timeout       time.Duration // of a call whose caller gave no deadline
}

// Params are the parts that New joins.
type Params struct {
	Self       *cluster.Server
	Router     *router.Router
	Table      *component.Table
	Pool       *session.Pool // nil on a backend
	Serializer serializer.Serializer
	Encoding   protocol.Encoding   // of pushes
	Handlers   pipeline.Middleware // around handlers; nil: none
	Remotes    pipeline.Middleware // around remotes; nil: none
	Limits     Limits
	Loads      LoadReports            // nil: no server tells its load
	Loopback   bool                   // a call may be answered by the server that makes it
	HidePanics func(value any) string // what a caller learns of a panic
	// Sessions answers servers that watch this frontend's sessions; nil: it does not tell.
	Sessions func(*clusterpb.SessionsAsk) (*clusterpb.SessionsTold, error)
	// Heard is told of binds on other frontends (cluster.Bindings.Heard); nil kicks
	// the user who was bound elsewhere.
	Heard func(*clusterpb.BindMsg) (holds bool)
	// Asked is Heard for a server that waits for the answer (cluster.Bindings.Asked);
	// nil: no user is held here.
	Asked   func(*clusterpb.BindMsg) (holds bool)
	Log     logrus.FieldLogger
	Metrics *metrics.Metrics
}

// Dispatcher serves messages of clients and requests of servers. Use New.
type Dispatcher struct {
	Params
	discovery cluster.ServiceDiscovery // nil until Join
	leaders   leaders                  // nil when nobody leads
	suspects  suspecter                // nil when nobody wants to know
	client    Client                   // nil until Join
	group     *lifecycle.Group
	clock     clock
	inFlight  inFlight
	saves     atomic.Uint64 // versions of what stand-ins saved

	routes     routes
	targets    *xsync.Map[targetKey, *target]
	rosters    *xsync.Map[string, *roster] // by type
	mailboxes  *xsync.Map[mailboxKey, *mailbox]
	inboxes    *lifecycle.Workers[*Inbox]
	boxes      *lifecycle.Workers[*mailbox]
	workers    workers
	sysWorkers workers
	envelopes  sync.Pool            // of *envelope
	remotes    map[string]*endpoint // by service.method; written in Init only
	handlers   map[string]*endpoint
	rated      bool // some handler has a rate
}

// New returns a dispatcher that starts nothing until Init.
func New(p Params) *Dispatcher {
	return &Dispatcher{
		Params:    p,
		clock:     newClock(),
		targets:   xsync.NewMap[targetKey, *target](),
		rosters:   xsync.NewMap[string, *roster](),
		mailboxes: xsync.NewMap[mailboxKey, *mailbox](),
	}
}

// Join makes the dispatcher one of a cluster. It is called before Init, or never.
func (d *Dispatcher) Join(discovery cluster.ServiceDiscovery, client Client) {
	d.discovery, d.client = discovery, client
	discovery.AddListener(d)
	d.suspects, _ = discovery.(suspecter)
	d.leaders, _ = discovery.(leaders)
}

// leaders is a service discovery that knows who leads a type.
type leaders interface{ Snapshot() *cluster.Snapshot }

// suspecter is a service discovery that wants to know where calls find nobody,
// and where they find somebody again.
type suspecter interface {
	Suspect(id string)
	Trust(id string)
}

// Name says what the module is.
func (d *Dispatcher) Name() string { return "dispatcher" }

// Init fixes the table of routes and makes ready to serve.
func (d *Dispatcher) Init(context.Context) error {
	d.group = lifecycle.NewGroup(context.Background())
	if err := d.addSystemRemotes(); err != nil {
		return err
	}
	d.fold()
	d.limitRates()
	d.routes.init(d)
	d.inboxes = lifecycle.NewWorkers(d.group, "inbox", func(ctx context.Context, b *Inbox) { b.run(ctx) })
	d.boxes = lifecycle.NewWorkers(d.group, "mailbox", func(ctx context.Context, b *mailbox) { b.run(ctx) })
	d.workers.init(d.group, "remote", d.Limits.Remotes)
	d.sysWorkers.init(d.group, "sys remote", d.Limits.Remotes)
	d.group.Go("mailbox sweeper", d.sweepMailboxes)
	return nil
}

// fold puts every method into its pipeline once.
func (d *Dispatcher) fold() {
	d.handlers, d.remotes = make(map[string]*endpoint), make(map[string]*endpoint)
	for _, info := range d.Table.Routes() {
		if m, ok := d.Table.Remote(info.Short); ok && info.Remote {
			d.remotes[info.Short] = newEndpoint(m, d.Remotes, d.share(m))
			d.Metrics.RegisterRoute(d.Self.Type + "." + info.Short)
		} else if m, ok := d.Table.Handler(info.Short); ok {
			d.handlers[info.Short] = newEndpoint(m, d.Handlers, d.share(m))
		}
	}
}

// share is how many calls of a route may run at once on workers. The sys remotes
// have workers of their own and none of them is slow.
func (d *Dispatcher) share(m *component.Method) int {
	if m.Service == serviceSys {
		return 0
	}
	return d.Limits.Route
}

// AfterInit does nothing.
func (d *Dispatcher) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing: messages are served to the end.
func (d *Dispatcher) BeforeShutdown(context.Context) {}

// Shutdown waits until everything that runs has returned.
func (d *Dispatcher) Shutdown(ctx context.Context) error { return d.group.Stop(ctx) }

// AddServer is of cluster.Listener.
func (d *Dispatcher) AddServer(cluster.Event) {}

// RemoveServer forgets what was known of the server's run. One that did not say
// that it goes is looked for a last time.
func (d *Dispatcher) RemoveServer(e cluster.Event) {
	t, known := d.targets.LoadAndDelete(keyOf(e.Server))
	d.forgetTargets()
	if !known {
		return
	}
	t.moveOn()
	if e.Reason != cluster.ReasonLeft && t.vitals.calls.Load() > 0 {
		d.lookFor(t, 0)
	}
}

// forgetTargets drops what calls to servers that were gone already left behind.
func (d *Dispatcher) forgetTargets() {
	d.targets.Range(func(key targetKey, t *target) bool {
		if s, ok := d.discovery.Server(key.id); (!ok || s.Nonce != key.nonce) && t.vitals.calls.Load() == 0 {
			d.targets.Delete(key)
		}
		return true
	})
}

// clock tells the time since this process's start; it never jumps.
type clock struct{ start time.Time }

func newClock() clock { return clock{start: time.Now()} }

func (c clock) now() time.Duration { return time.Since(c.start) }
