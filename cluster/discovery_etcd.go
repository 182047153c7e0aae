package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

var (
	_ ServiceDiscovery = (*EtcdDiscovery)(nil)
	_ lifecycle.Module = (*EtcdDiscovery)(nil)
)

// EtcdDiscovery is a ServiceDiscovery over etcd, with keys and values as Pitaya
// has them (wire.md section 6).
type EtcdDiscovery struct {
	params EtcdParams
	view   *view
	said   *announcement           // nil for an observer
	link   atomic.Pointer[etcdRun] // nil unless running
	begun  chan struct{}           // closed when it first runs
	start  sync.Once               // guards closing it
	gap    func()                  // see onGap
}

// etcdRun is what exists between Init and Shutdown.
type etcdRun struct {
	group     *lifecycle.Group
	store     *etcdStore
	follower  *follower
	condition *condition
	own       *Registration // nil for an observer
	roll      *roll
	election  *election // nil for an observer
}

// NewEtcdDiscovery checks the parameters, all faults at once. It does no I/O
// and starts nothing: that is Init's.
func NewEtcdDiscovery(p EtcdParams) (*EtcdDiscovery, error) {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return nil, err
	}
	d := &EtcdDiscovery{params: p.seal(), begun: make(chan struct{}), view: newView(viewParams{
		self: p.Self, blacklist: p.TypesBlacklist, suspectFor: p.SuspectFor, log: p.Log, metrics: p.Metrics,
	})}
	if p.Self != nil {
		d.said = newAnnouncement(p.Self)
	}
	return d, nil
}

// Name is the module's name.
func (d *EtcdDiscovery) Name() string { return "discovery" }

// Init connects, lists and starts to watch: when it returns nil the view is
// complete. While etcd does not answer it is tried again for BootTimeout; the
// error then names the endpoints, and nothing is left behind.
func (d *EtcdDiscovery) Init(ctx context.Context) error {
	if d.link.Load() != nil {
		return errors.New("etcd discovery: Init was called twice")
	}
	store, first, err := boot(ctx, d.params)
	if err != nil {
		return err
	}
	d.begin(store, first)
	return nil
}

// begin follows etcd from a first listing on.
func (d *EtcdDiscovery) begin(store *etcdStore, first listing) {
	run := &etcdRun{group: lifecycle.NewGroup(context.Background()), store: store, roll: newRoll()}
	run.follower = newFollower(d.params, store, d.view)
	run.follower.caughtUp = d.passed
	run.condition = newCondition(store)
	if d.params.Self != nil {
		run.own = run.enlist(d.params, d.said, run.group)
		run.election = newElection(run.own, d.view)
		elect := run.own.arrived
		run.own.arrived = func() { elect(); d.passed() }
	}
	run.follower.accept(first, 0)
	run.follower.connected.Store(true)
	d.view.start(run.group)
	run.group.Go("discovery.view", run.follower.run)
	run.group.Go("discovery.connection", run.follower.watchConnection)
	run.group.Go("discovery.condition", run.condition.run)
	if run.own != nil {
		run.own.start()
		run.group.Go("discovery.election", run.election.run)
	}
	d.link.Store(run)
	d.start.Do(func() { close(d.begun) })
}

// enlist makes the registration of p.Self, which the follower watches over.
func (run *etcdRun) enlist(p EtcdParams, said *announcement, group *lifecycle.Group) *Registration {
	r := newRegistration(p, run.store, group)
	r.said = said
	r.knows, r.wrote = run.follower.revision.Load, run.follower.wrote
	r.troubled = func() { signal(run.condition.ask) }
	run.follower.watchOver(r)
	return r
}

// AfterInit does nothing: Register comes when everything else is up.
func (d *EtcdDiscovery) AfterInit(context.Context) error { return nil }

// AwaitID returns when no other process holds this server's id: it waits until
// the lease that a crashed one left behind has run out, and returns ErrIDTaken
// when that is renewed instead. A server whose id is fixed calls it before it
// subscribes to what is sent to that id. While etcd does not answer it is tried
// again for BootTimeout.
func (d *EtcdDiscovery) AwaitID(ctx context.Context) error {
	return d.asOwn(func(own *Registration) error {
		key := newOwnKey(d.params, own.store)
		for began := time.Now(); ; {
			err := key.clear(ctx)
			if err == nil || errors.Is(err, ErrIDTaken) || hopeless(err) ||
				time.Since(began) > d.params.BootTimeout || !pause(ctx, awaitPause) {
				return err
			}
		}
	})
}

// awaitPause is the time between two attempts to learn who holds an id.
const awaitPause = 200 * time.Millisecond

// Register makes this server known to the cluster: it gets a lease, puts the
// key only if nobody has it, and from then on keeps both as OnLoss says. When the
// key is still there from another process, it waits until that one's lease has
// run out, and returns ErrIDTaken when it is renewed instead. While etcd does not
// answer it is tried again for BootTimeout. On an error nothing is registered.
// On a registered server it does nothing.
func (d *EtcdDiscovery) Register(ctx context.Context) error {
	return d.asOwn(func(own *Registration) error { return own.Register(ctx) })
}

// Deregister is Registration.Deregister for this server.
func (d *EtcdDiscovery) Deregister(ctx context.Context) error {
	return d.asOwn(func(own *Registration) error { return own.Deregister(ctx) })
}

// Edit changes what this server says of itself; see Registration.Edit. With
// IfRevision it is EditServer for this server.
func (d *EtcdDiscovery) Edit(ctx context.Context, e Edit) error {
	if e.IfRevision != 0 && d.params.Self != nil {
		_, err := d.EditServer(ctx, d.params.Self.ID, e)
		return err
	}
	return d.asOwn(func(own *Registration) error { return own.Edit(ctx, e) })
}

// Pause is Registration.Pause for this server; an observer has nothing to pause.
// Before the start it has the server register paused.
func (d *EtcdDiscovery) Pause() { d.wish(Edit{State: StatePaused}) }

// Resume is Registration.Resume for this server.
func (d *EtcdDiscovery) Resume() { d.wish(Edit{State: StateUp}) }

func (d *EtcdDiscovery) wish(e Edit) {
	if d.said == nil {
		return
	}
	_, _ = d.said.edit(e) // a state of ours cannot be wrong
	if run := d.link.Load(); run != nil {
		signal(run.own.wake)
	}
}

// asOwn does something with this server's registration.
func (d *EtcdDiscovery) asOwn(do func(own *Registration) error) error {
	run := d.link.Load()
	switch {
	case d.params.Self == nil:
		return errObserver
	case run == nil:
		return ErrNotRunning
	}
	return do(run.own)
}

// BeforeShutdown has the server leave (Deregister), and those of Enlist with it, and waits ShutdownDelay for
// the others to notice. A server that is not registered does neither.
func (d *EtcdDiscovery) BeforeShutdown(ctx context.Context) {
	if !d.leave(ctx) {
		return
	}
	pause(ctx, d.params.ShutdownDelay)
}

// leave deregisters and reports whether there was anything to do.
func (d *EtcdDiscovery) leave(ctx context.Context) bool {
	run := d.link.Load()
	return run != nil && run.leave(ctx)
}

// Shutdown stops watching and closes the client, unless it was passed in. A
// server that did not leave yet does so first.
func (d *EtcdDiscovery) Shutdown(ctx context.Context) error {
	d.leave(ctx)
	run := d.link.Swap(nil)
	if run == nil {
		return nil
	}
	run.roll.close()
	run.leave(ctx) // who came meanwhile
	return errors.Join(run.dismiss(ctx), run.group.Stop(ctx), run.store.close())
}

// Self is this server as it last said it is, nonce included; nil for an
// observer. It is shared: do not change it.
func (d *EtcdDiscovery) Self() *Server {
	if d.said == nil {
		return nil
	}
	return d.said.current.Load()
}

// Server implements ServiceDiscovery.
func (d *EtcdDiscovery) Server(id string) (*Server, bool) { return d.Snapshot().Server(id) }

// Servers implements ServiceDiscovery.
func (d *EtcdDiscovery) Servers() []*Server { return d.Snapshot().Servers() }

// ServersByType implements ServiceDiscovery.
func (d *EtcdDiscovery) ServersByType(serverType string) []*Server {
	return d.Snapshot().ServersByType(serverType)
}

// AddListener implements ServiceDiscovery.
func (d *EtcdDiscovery) AddListener(l Listener) { d.view.add(l) }

// SyncServers implements ServiceDiscovery.
func (d *EtcdDiscovery) SyncServers(ctx context.Context) error {
	run := d.link.Load()
	if run == nil {
		return ErrNotRunning
	}
	if err := run.follower.sync(ctx, run.group.Context()); err != nil {
		return fmt.Errorf("synchronize servers with etcd: %w", explained(err))
	}
	return nil
}

// IsConnected reports whether there is a connection to etcd right now.
func (d *EtcdDiscovery) IsConnected() bool {
	run := d.link.Load()
	return run != nil && run.follower.connected.Load()
}

// LastSync is when the view was last compared with all of etcd; zero before Init.
func (d *EtcdDiscovery) LastSync() time.Time {
	run := d.link.Load()
	if run == nil {
		return time.Time{}
	}
	return time.Unix(0, run.follower.lastSync.Load())
}

// Stale reports whether the view may be behind: etcd is away, or came back and
// the view was not compared with it yet. The last view stays in use meanwhile.
func (d *EtcdDiscovery) Stale() bool {
	run := d.link.Load()
	return run == nil || run.follower.stale()
}

// Registered reports whether this server's key is in etcd under a lease that has
// certainly not run out.
func (d *EtcdDiscovery) Registered() bool {
	run := d.link.Load()
	return run != nil && run.own != nil && run.own.Registered()
}

// Unhealthy is Registration.Unhealthy for this server.
func (d *EtcdDiscovery) Unhealthy() (why error) {
	_ = d.asOwn(func(own *Registration) error { why = own.Unhealthy(); return nil })
	return why
}

// Fenced reports whether new players should go elsewhere: OnLoss is PolicyFence
// and the registration was lost and not had again yet.
func (d *EtcdDiscovery) Fenced() bool {
	run := d.link.Load()
	return d.params.OnLoss == PolicyFence && run != nil && run.own != nil && run.own.lost.Load()
}
