package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// Registration makes one server known and keeps it so: it gets a lease, puts
// the server's key under it, renews the lease, and does all that again when it
// is lost. All methods may be called from any goroutine.
type Registration struct {
	params EtcdParams
	store  *etcdStore
	group  *lifecycle.Group
	log    logrus.FieldLogger
	said   *announcement

	// knows is the revision that the view is of, and wrote is told that of every
	// write, with what the view knew before it.
	knows func() int64
	wrote func(known, revision int64)
	// arrived is told when the key is put and the lease is known to last, also after
	// a renewal that came too late to be certain of that all the time.
	arrived func()
	// parting is told that the lease will be given back, and parted is called before
	// that and returns when that may be done.
	parting func()
	parted  func(ctx context.Context)
	// troubled is told when etcd refused something.
	troubled func()
	// closed is told that Close is done.
	closed func()

	mailbox commandBox
	doubts  chan struct{} // the key may not be as it should be; room for one
	wake    chan struct{} // there is something to do; room for one
	wanted  atomic.Bool   // to be registered
	held    atomic.Bool   // the key is there and its lease is renewed
	lost    atomic.Bool   // it was held, and is to be held again
	ill     atomic.Bool   // health checks fail: stay out of the list
	lease   leaseTerm
	gate    *healthGate // nil without health checks

	// These belong to run.
	key         ownKey
	spare       []clientv3.LeaseID // of ours, not needed, that may still be alive
	registering *command           // the Register that waits
	since       time.Time          // of the first of the failures
	failures    int                // attempts in a row
	evicted     bool               // the key was deleted while the server was paused
	pauses      pauses
	renewals    renewals
}

func newRegistration(p EtcdParams, store *etcdStore, group *lifecycle.Group) *Registration {
	r := &Registration{
		params:   p,
		store:    store,
		group:    group,
		log:      p.Log,
		knows:    func() int64 { return 0 },
		wrote:    func(int64, int64) {},
		arrived:  func() {},
		parting:  func() {},
		parted:   func(context.Context) {},
		troubled: func() {},
		closed:   func() {},
		mailbox:  commandBox{commands: make(chan command)},
		doubts:   make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		lease:    leaseTerm{born: time.Now()},
		renewals: renewals{client: store.client},
		key:      newOwnKey(p, store),
		pauses:   newPauses(firstRegainPause, lastRegainPause),
	}
	if len(p.Health.Checks) > 0 {
		r.gate = newHealthGate(p.Health, p.Log, group)
		r.gate.set = func(ill bool) { r.ill.Store(ill); signal(r.wake) }
	}
	return r
}

// start begins to carry out what is asked.
func (r *Registration) start() {
	r.group.Go("discovery.lease", r.run)
	if r.gate != nil {
		r.group.Go("discovery.health", r.gate.run)
	}
}

// Self is the server as it last said it is. It is shared: do not change it.
func (r *Registration) Self() *Server { return r.said.current.Load() }

// Registered reports whether the key is in etcd under a lease that has
// certainly not run out.
func (r *Registration) Registered() bool { return r.held.Load() && r.lease.valid() }

// Unhealthy is why the server is kept out of the list by its health checks;
// nil when it is not.
func (r *Registration) Unhealthy() error {
	if r.gate == nil {
		return nil
	}
	return r.gate.why()
}

// Register makes the server known; see EtcdDiscovery.Register. When its health
// checks fail it returns nil, too: the server registers when they pass.
func (r *Registration) Register(ctx context.Context) error {
	if r.gate != nil {
		select {
		case <-r.gate.first:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return r.do(ctx, command{kind: cmdRegister})
}

// Deregister says that the server left and takes its key away, within
// RevokeTimeout; what could not be said then the end of the lease says. The key
// is not put again until Register.
func (r *Registration) Deregister(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.params.RevokeTimeout)
	defer cancel()
	err := r.do(ctx, command{kind: cmdDeregister})
	if err != nil { // perhaps it was not heard
		r.wanted.Store(false)
		signal(r.wake)
	}
	return err
}

func (r *Registration) do(ctx context.Context, cmd command) error {
	return r.mailbox.do(ctx, r.group.Context(), cmd)
}

// Edit changes what the server says of itself, now when it is registered, else
// when it registers. It returns when etcd has it. After an error that is not of
// the edit itself the edit stays a wish: it is written as soon as etcd answers.
// ErrInvalidEdit: IfRevision cannot be asked for here, use EditServer.
func (r *Registration) Edit(ctx context.Context, e Edit) error {
	if e.IfRevision != 0 {
		return fmt.Errorf("%w: IfRevision is for EditServer", ErrInvalidEdit)
	}
	writing, err := r.said.edit(e)
	if err != nil {
		return err
	}
	signal(r.wake)
	if writing == nil || !r.held.Load() {
		return nil
	}
	select {
	case <-writing.done:
		return writing.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.group.Context().Done():
		return ErrNotRunning
	}
}

// Pause has the server be given no new work (a frontend then also closes new
// connections, and is not ready, and keeps those it has), by putting its state to
// StatePaused as soon as etcd takes it; it stays in everybody's list of
// servers, and its sessions and calls go on. A paused server that loses its lease
// registers again, still paused; one whose key somebody deletes stays away until
// Resume. Pause does not wait, and may be called again.
func (r *Registration) Pause() { r.wish(Edit{State: StatePaused}) }

// Resume undoes Pause: the state is StateUp again, and a key that was lost
// meanwhile is put again. It does not wait, and may be called again.
func (r *Registration) Resume() { r.wish(Edit{State: StateUp}) }

func (r *Registration) wish(e Edit) {
	_, _ = r.said.edit(e) // a state of ours cannot be wrong
	signal(r.wake)
}

// doubt has run look whether the key is as it should be.
func (r *Registration) doubt() { signal(r.doubts) }

// signal leaves one signal in a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// end deregisters, also when ctx has ended already: then there is a moment left
// for it. It reports whether there was anything to do.
func (r *Registration) end(ctx context.Context) bool {
	if !r.wanted.Load() && !r.held.Load() {
		return false
	}
	ctx, cancel := withLastWords(ctx)
	defer cancel()
	if err := r.Deregister(ctx); err != nil && !errors.Is(err, ErrNotRunning) {
		r.log.WithError(err).Warn("could not leave the cluster in time, the lease will run out")
	}
	return true
}

// withLastWords is ctx or, when that has ended already, one that lasts a moment.
func withLastWords(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), lastWords)
}
