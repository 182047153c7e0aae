package cereus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/internal/agent"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/metrics"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/serializer"
	"github.com/cereus-game/cereus/session"
)

// ErrStarted is returned for what has to be done before Start, for a second
// Start, and for one after Shutdown.
var ErrStarted = errors.New("the app was started or shut down before: do this between cereus.New and Start, or make another app")

// errShutDown ends a Start during which Shutdown was called.
var errShutDown = errors.New("the app was shut down while it started")

// App is one server. Use New.
type App struct {
	opts       options
	self       *cluster.Server
	config     *config.Config
	log        logrus.FieldLogger
	serializer serializer.Serializer
	dictionary *protocol.Dictionary
	metrics    *metrics.Metrics
	table      *component.Table

	etcd       cluster.EtcdClients // shared by discovery, groups and modules
	sequence   lifecycle.Sequence
	discovery  *cluster.EtcdDiscovery // nil when standalone
	client     *cluster.RPCClient     // nil when standalone
	server     *cluster.RPCServer     // nil when standalone
	reporter   *cluster.LoadReporter  // nil when standalone
	bindings   *cluster.Bindings      // nil when standalone
	links      []Module               // calls in and out, in order of their start
	dispatcher *dispatch.Dispatcher
	calls      pipeline.Handler // calls through their middleware; nil when there is none
	groups     *group.Groups
	pool       *session.Pool // nil on a backend
	host       *agent.Host   // nil on a backend
	acceptors  []acceptor.Acceptor
	gate       *acceptor.Gate // of the acceptors made here; nil on a backend
	accepting  *lifecycle.Group

	// appDieChan holds the first cause for which this server cannot go on.
	appDieChan chan error

	mu         sync.Mutex // guards modules, moved, loadValues until the start, started, starting and abort
	modules    []Module
	moved      []func(router.Move) // complete before anything is routed
	loadValues loadValues
	started    bool
	starting   chan struct{} // closed when Start has returned; nil before it was called
	abort      context.CancelCauseFunc
	ready      atomic.Bool
	stop       sync.Once
	stopped    error
}

// New assembles an app. It does no I/O and starts no goroutine. Its error lists
// every fault of the options and of the configuration.
func New(opts ...Option) (*App, error) {
	a := &App{appDieChan: make(chan error, 1), table: component.NewTable()}
	var faults []error
	for i, opt := range opts {
		if opt == nil {
			faults = append(faults, fmt.Errorf("option number %d of New is nil: leave it out", i+1))
			continue
		}
		faults = append(faults, opt.apply(&a.opts))
	}
	faults = append(faults, a.assemble())
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return a, nil
}

// Register adds a component whose methods answer clients; see package
// component. Names of methods that are found keep Go's case: Join of a *Lobby is
// asked for as "Lobby.Join" unless component.WithName and component.WithNameFunc
// say otherwise. It must be called before Start.
func (a *App) Register(c any, opts ...component.Option) error {
	if a.wasStarted() {
		return ErrStarted
	}
	return a.table.Register(c, opts...) // not under mu: it asks c for its routes
}

// RegisterRemote adds a component whose methods answer servers. It must be
// called before Start.
func (a *App) RegisterRemote(c any, opts ...component.Option) error {
	if a.wasStarted() {
		return ErrStarted
	}
	return a.table.RegisterRemote(c, opts...)
}

// RegisterModule adds a module, which starts after the cluster's own parts and
// before components. It must be called before Start.
func (a *App) RegisterModule(m Module) error {
	if m == nil {
		return errors.New("RegisterModule(nil): pass a module")
	}
	return a.beforeStart(func() error { a.modules = append(a.modules, m); return nil })
}

func (a *App) wasStarted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.started
}

func (a *App) beforeStart(do func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.started {
		return ErrStarted
	}
	return do()
}

// Start brings the app up: its modules in order, then the addresses of its
// acceptors and its registration in the cluster, and last of all it lets clients
// in. When it returns nil clients and servers are served; when it fails nothing
// is left running. An app starts once.
func (a *App) Start(ctx context.Context) error {
	ctx, returned, err := a.claimStart(ctx)
	if err != nil {
		return err
	}
	defer returned()
	a.addModules()
	if err := a.sequence.Start(ctx); err != nil {
		return err
	}
	err = a.open(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, errShutDown) {
		err = errors.Join(err, cause) // Shutdown waits for this to return, and then has nothing left to do
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.Shutdown.Timeout)
		defer cancel()
		return errors.Join(err, a.takeDown(ctx))
	}
	a.ready.Store(true)
	up := a.log.WithField("type", a.self.Type).WithField("id", a.self.ID)
	if a.self.Frontend {
		up = up.WithField("clients", a.addresses())
	}
	up.Info("server is up")
	return nil
}

// claimStart makes the caller the only Start there will be. It returns a context
// that Shutdown ends, and what to call when Start returns.
func (a *App) claimStart(ctx context.Context) (context.Context, func(), error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.started {
		return nil, nil, ErrStarted
	}
	ctx, abort := context.WithCancelCause(ctx)
	starting := make(chan struct{})
	a.started, a.starting, a.abort = true, starting, abort
	return ctx, func() { close(starting); abort(nil) }, nil
}

// open tells the cluster and lets clients in, in this order: backends have to know
// the frontend whose players they serve. Connections that come in between wait.
func (a *App) open(ctx context.Context) error {
	a.accepting = lifecycle.NewGroup(context.WithoutCancel(ctx))
	for _, acc := range a.acceptors {
		if err := acc.Listen(ctx); err != nil {
			return err
		}
	}
	if a.discovery != nil {
		if err := a.discovery.Register(ctx); err != nil {
			return err
		}
	}
	for _, acc := range a.acceptors {
		a.accepting.Go("accept", func(context.Context) {
			if err := acc.Serve(a.host.Serve); err != nil {
				a.die(fmt.Errorf("acceptor %s: %w", acc.Addr(), err))
			}
		})
	}
	return nil
}

// Shutdown takes the app down in order: it says goodbye to the cluster, lets
// no new clients in, answers what was asked, as far as ctx allows, and stops
// its modules in reverse. Further calls wait for the first and return the same.
// An app that was never started does not start any more. A Start that is under
// way is ended and waited for, as far as ctx allows: a module's Init must not
// call Shutdown.
func (a *App) Shutdown(ctx context.Context) error {
	a.mu.Lock()
	a.started = true
	starting, abort := a.starting, a.abort
	a.mu.Unlock()
	if starting != nil {
		abort(errShutDown)
		select {
		case <-starting:
		case <-ctx.Done():
			return fmt.Errorf("the start that is to be ended goes on: %w", context.Cause(ctx))
		}
	}
	return a.takeDown(ctx)
}

func (a *App) takeDown(ctx context.Context) error {
	a.stop.Do(func() { a.stopped = a.shutdown(ctx) })
	return a.stopped
}

func (a *App) shutdown(ctx context.Context) error {
	wasUp := a.ready.Swap(false)
	faults := []error{a.sequence.BeforeShutdown(ctx, a.discovery), a.closeAcceptors(ctx)}
	if a.server != nil {
		faults = append(faults, a.sequence.ShutdownFirst(ctx, a.server))
	}
	faults = append(faults, a.sequence.Shutdown(ctx))
	if wasUp {
		a.log.WithField("type", a.self.Type).WithField("id", a.self.ID).Info("server has stopped")
	}
	return errors.Join(faults...)
}

// closeAcceptors ends the players' connections once their requests are answered.
func (a *App) closeAcceptors(ctx context.Context) error {
	var faults []error
	for _, acc := range a.acceptors {
		faults = append(faults, acc.Close())
	}
	if a.host != nil && a.accepting != nil {
		a.host.Drain(ctx)
	}
	for _, acc := range a.acceptors {
		faults = append(faults, acc.Wait(ctx))
	}
	if a.accepting != nil {
		faults = append(faults, a.accepting.Stop(ctx))
	}
	return errors.Join(faults...)
}

// die keeps the first cause for which the app has to end.
func (a *App) die(cause error) {
	select {
	case a.appDieChan <- cause:
	default:
	}
}

// Died is closed over by Run; apps that use Start themselves receive from it
// the reason why the server cannot go on, at most once.
func (a *App) Died() <-chan error { return a.appDieChan }

// Server is this server as it last said it is (see Discovery): its id and type
// stay, state, weight and metadata may have been edited. It must not be changed.
func (a *App) Server() *cluster.Server {
	if a.discovery == nil {
		return a.self
	}
	return a.discovery.Self()
}

// Discovery tells who is in the cluster and who leads, and changes what this
// server says of itself: Pause, Edit, RunAsLeader. It is nil when standalone.
func (a *App) Discovery() *cluster.EtcdDiscovery { return a.discovery }

// addresses are those of the acceptors, for people to read.
func (a *App) addresses() string {
	var all []string
	for _, addr := range a.Addrs() {
		all = append(all, addr.String())
	}
	return strings.Join(all, " ")
}

// Addrs are the addresses that the acceptors listen on, in the order of their
// options; nil for one that does not listen.
func (a *App) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(a.acceptors))
	for i, acc := range a.acceptors {
		addrs[i] = acc.Addr()
	}
	return addrs
}

// Sessions is the number of players connected to this server.
func (a *App) Sessions() int {
	if a.pool == nil {
		return 0
	}
	return a.pool.Count()
}

// Metrics are the app's, for collectors of the game's own.
func (a *App) Metrics() *metrics.Metrics { return a.metrics }
