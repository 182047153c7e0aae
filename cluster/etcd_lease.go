package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// firstRegainPause and lastRegainPause bound the pauses between attempts to
// register again, except under PolicyExit, which has its own.
const (
	firstRegainPause = 20 * time.Millisecond
	lastRegainPause  = 300 * time.Millisecond
	// sweepTimeout bounds the giving back of leases that are not needed, and
	// maxSpare their number.
	sweepTimeout = time.Second
	maxSpare     = 16
	// holdTimeout bounds one write while the lease is held, so that its end is
	// noticed meanwhile.
	holdTimeout = 3 * time.Second
)

// registrar keeps this server's key in etcd. Its run is the only goroutine that
// has to do with the lease: grant, put, keepalive, and again when that is lost.
type registrar struct {
	params EtcdParams
	store  *etcdStore
	log    logrus.FieldLogger
	self   *atomic.Pointer[Server] // as announced

	// wrote is told the revision of every write.
	wrote func(revision int64)

	mailbox commandBox
	nudges  chan struct{} // the key may be missing; room for one
	wanted  atomic.Bool   // to be registered
	held    atomic.Bool   // the key is there and its lease is renewed
	lost    atomic.Bool   // it was held, and is to be held again

	// These belong to run.
	key         ownKey
	lease       clientv3.LeaseID   // the one the key was last known to be under
	spare       []clientv3.LeaseID // others of ours that may still be alive
	alive       <-chan *clientv3.LeaseKeepAliveResponse
	quit        context.CancelFunc // ends the keepalive
	registering *command           // the Register that waits
	since       time.Time          // of the first of the failures
	failures    int                // attempts in a row
	pauses      *backoff.ExponentialBackOff
}

func newRegistrar(p EtcdParams, store *etcdStore, self *atomic.Pointer[Server]) *registrar {
	return &registrar{
		params:  p,
		store:   store,
		log:     p.Log,
		self:    self,
		wrote:   func(int64) {},
		mailbox: commandBox{commands: make(chan command)},
		nudges:  make(chan struct{}, 1),
		key: ownKey{
			store: store, log: p.Log, timeout: p.GrantTimeout,
			key: serverKey(p.Self.Type, p.Self.ID), nonce: p.Self.Nonce,
		},
		quit:   func() {},
		pauses: newBackoff(firstRegainPause, lastRegainPause),
	}
}

// nudge has run look whether the key is still there.
func (r *registrar) nudge() {
	select {
	case r.nudges <- struct{}{}:
	default:
	}
}

// run does what commands ask and what the fate of the lease asks, until ctx ends.
func (r *registrar) run(ctx context.Context) {
	defer func() { r.quit() }()
	for ctx.Err() == nil {
		switch {
		case r.held.Load():
			r.hold(ctx)
		case r.wanted.Load() && !r.parked():
			r.seek(ctx)
		default:
			r.rest(ctx, nil)
		}
	}
}

// parked reports whether the server is paused, so that its key comes back only
// when somebody asks.
func (r *registrar) parked() bool {
	return r.registering == nil && r.self.Load().State == StatePaused
}

// rest waits for a command, a nudge, or until the timer fires.
func (r *registrar) rest(ctx context.Context, timer <-chan time.Time) {
	var givenUp <-chan struct{}
	if r.registering != nil {
		givenUp = r.registering.ctx.Done()
	}
	select {
	case <-ctx.Done():
	case cmd := <-r.mailbox.commands:
		r.handle(ctx, cmd)
	case <-r.nudges:
	case <-timer:
	case <-givenUp:
		r.giveUp(ctx, context.Cause(r.registering.ctx))
	}
}

// hold keeps what is held until something happens, and sees to that.
func (r *registrar) hold(ctx context.Context) {
	select {
	case <-ctx.Done():
	case resp, ok := <-r.alive:
		switch {
		case !ok:
			r.lose("the lease ended")
		case r.params.HeartbeatLog:
			r.log.WithField("ttl", resp.TTL).Debug("lease renewed")
		}
	case <-r.nudges:
		r.settle(ctx, r.attempt(ctx, r.restore))
	case cmd := <-r.mailbox.commands:
		r.handle(ctx, cmd)
	}
}

// lose notes that the registration is gone.
func (r *registrar) lose(reason string) {
	r.quit()
	r.held.Store(false)
	r.lost.Store(true)
	r.params.Metrics.LeaseLost()
	r.log.WithField("reason", reason).Warn("this server's registration is lost")
}

// restore puts the key again when it is missing or not as it should be.
func (r *registrar) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	held, err := r.key.look(ctx)
	if err != nil {
		return err
	}
	if held == nil && r.parked() {
		return rpctypes.ErrLeaseNotFound // as good as lost
	}
	if held != nil && held.Lease == int64(r.lease) && r.key.owns(held) && !r.key.changed {
		return nil
	}
	return r.write(ctx, r.lease)
}

// rewrite puts what was just announced.
func (r *registrar) rewrite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	return r.write(ctx, r.lease)
}

// write puts the announced value under a lease.
func (r *registrar) write(ctx context.Context, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, r.params.GrantTimeout)
	defer cancel()
	revision, err := r.key.put(ctx, r.self.Load(), lease)
	if err == nil {
		r.wrote(revision)
	}
	return err
}

// settle draws the conclusion of a write while the lease was held.
func (r *registrar) settle(ctx context.Context, err error) {
	switch {
	case err == nil:
		r.pauses.Reset()
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		r.lose("etcd does not know the lease")
	case errors.Is(err, errHeld):
		r.lose("another process put the key")
	default:
		r.log.WithError(err).Warn("could not put this server's key, trying again")
		r.rest(ctx, time.After(r.pauses.NextBackOff()))
		r.nudge()
	}
}

// seek makes one attempt to register and, when it failed, pauses as the policy says.
func (r *registrar) seek(ctx context.Context) {
	err := r.attempt(ctx, r.establish)
	switch {
	case err == nil:
		r.established()
	case ctx.Err() != nil:
	case errors.Is(err, errInterrupted):
		r.rest(ctx, time.After(firstRegainPause)) // for the command; who sent it may have left
	case errors.Is(err, errHeld): // taken since it was looked at: look again
	case errors.Is(err, ErrIDTaken):
		r.giveUp(ctx, err)
	default:
		r.failed(ctx, err)
	}
}

func (r *registrar) established() {
	r.held.Store(true)
	r.lost.Store(false)
	r.failures = 0
	r.pauses.Reset()
	r.answer(nil)
	r.log.WithField("lease", fmt.Sprintf("%x", int64(r.lease))).Info("this server is registered")
}

// failed counts a failure that may pass, and pauses or gives up.
func (r *registrar) failed(ctx context.Context, err error) {
	if r.failures++; r.failures == 1 {
		r.since = time.Now()
	}
	if over := r.enough(err); over != nil {
		r.giveUp(ctx, over)
		return
	}
	if r.failures == 1 {
		r.log.WithError(err).Warn("could not register this server, trying again")
	}
	wait := r.pauses.NextBackOff()
	if r.registering == nil && r.params.OnLoss == PolicyExit {
		wait = around(r.params.GrantRetryInterval)
	}
	r.rest(ctx, time.After(wait))
}

// enough is why no further attempt is made after one that failed with err; nil
// when there is another one.
func (r *registrar) enough(err error) error {
	switch {
	case r.registering != nil && r.registering.ctx.Err() != nil:
		return context.Cause(r.registering.ctx)
	case r.registering != nil && (hopeless(err) || time.Since(r.since) > r.params.BootTimeout):
		return err
	case r.registering == nil && r.params.OnLoss == PolicyExit && r.failures > r.params.GrantMaxRetries:
		return fmt.Errorf("the lease could not be had again in %d attempts: %w", r.failures, err)
	}
	return nil
}

// giveUp ends the wish to be registered and tells why: the Register that waits,
// or else the app, which dies of it.
func (r *registrar) giveUp(ctx context.Context, why error) {
	why = fmt.Errorf("register server %s of type %s: %w", r.params.Self.ID, r.params.Self.Type, why)
	r.wanted.Store(false)
	r.failures = 0
	r.spare, r.lease = append(r.spare, r.lease), 0
	r.sweep(ctx)
	if r.registering != nil {
		r.answer(why)
		return
	}
	r.log.WithError(why).Error("this server cannot be registered any more")
	r.params.Die(why)
}

// answer tells the Register that waits, if any.
func (r *registrar) answer(err error) {
	if r.registering != nil {
		r.registering.done <- err
		r.registering = nil
	}
}

// establish gets a lease, puts the key under it and has it kept alive. A lease
// of ours that is not needed any more is given back.
func (r *registrar) establish(ctx context.Context) error {
	if err := r.key.clear(ctx); err != nil {
		return err
	}
	r.sweep(ctx)
	lease, err := r.grant(ctx)
	if err != nil {
		return err
	}
	r.spare = append(r.spare, lease) // until the key is known to be under it
	r.key.revision = 0               // create only, or find our own
	if err := r.write(ctx, lease); err != nil {
		return err
	}
	r.spare[len(r.spare)-1], r.lease = r.lease, lease
	if err := r.keepAlive(lease); err != nil {
		return err
	}
	r.sweep(ctx)
	return nil
}

// sweep gives the spare leases back, as far as that can be done in time; what
// cannot runs out by itself.
func (r *registrar) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(r.params.RevokeTimeout, sweepTimeout))
	defer cancel()
	r.spare = slices.DeleteFunc(r.spare, func(lease clientv3.LeaseID) bool {
		if lease == 0 {
			return true
		}
		_, err := r.store.lease.Revoke(ctx, lease)
		return unlessGone(err) == nil
	})
	if extra := len(r.spare) - maxSpare; extra > 0 {
		r.spare = r.spare[extra:]
	}
}

func (r *registrar) grant(ctx context.Context) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, r.params.GrantTimeout)
	defer cancel()
	resp, err := r.store.lease.Grant(ctx, int64(r.params.TTL/time.Second))
	if err != nil {
		return 0, err
	}
	return resp.ID, nil
}

// keepAlive has the client renew the lease. It goes on until quit, whatever
// becomes of the attempt that started it.
func (r *registrar) keepAlive(lease clientv3.LeaseID) error {
	r.quit()
	ctx, cancel := context.WithCancel(context.Background())
	alive, err := r.store.lease.KeepAlive(ctx, lease)
	if err != nil {
		cancel()
		return err
	}
	r.alive, r.quit = alive, cancel
	return nil
}

// handle carries out one command.
func (r *registrar) handle(ctx context.Context, cmd command) {
	r.mailbox.received()
	switch cmd.kind {
	case cmdRegister:
		r.handleRegister(cmd)
	case cmdDeregister:
		cmd.done <- r.leave(cmd.ctx)
	case cmdAnnounce:
		r.handleAnnounce(ctx, cmd)
	}
}

func (r *registrar) handleAnnounce(ctx context.Context, cmd command) {
	known := r.self.Swap(cmd.self).equal(cmd.self) && !r.key.changed
	if known || !r.held.Load() {
		cmd.done <- nil
		return
	}
	r.key.changed = true
	err := r.attempt(cmd.ctx, r.rewrite)
	cmd.done <- err
	r.settle(ctx, err)
}

func (r *registrar) handleRegister(cmd command) {
	switch {
	case r.held.Load():
		cmd.done <- nil
	case r.registering != nil && r.registering.ctx.Err() == nil:
		cmd.done <- errors.New("register: another call is at it")
	default:
		r.answer(context.Canceled) // one that ended and was not told yet
		r.wanted.Store(true)
		r.failures = 0
		r.registering = &cmd
	}
}

// leave says that this server left and gives the lease back, which deletes the key.
func (r *registrar) leave(ctx context.Context) error {
	r.answer(errors.New("register: the server was deregistered meanwhile"))
	r.wanted.Store(false)
	r.held.Store(false)
	r.lost.Store(false)
	r.quit()
	lease := r.lease
	r.lease = 0
	defer r.sweep(ctx)
	if lease == 0 {
		return nil
	}
	said, cancel := context.WithTimeout(ctx, r.params.RevokeTimeout/2)
	defer cancel()
	errLeave := r.key.leave(said, r.self.Load(), lease)
	_, errRevoke := r.store.lease.Revoke(ctx, lease)
	return errors.Join(unlessGone(errLeave), unlessGone(errRevoke))
}

// unlessGone is err, unless it says that the lease is gone already.
func unlessGone(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}

// attempt runs fn with a context that also ends when a command comes, or with
// the Register that fn is for.
func (r *registrar) attempt(ctx context.Context, fn func(context.Context) error) error {
	ctx, done := r.mailbox.interruptible(ctx)
	defer done(nil)
	if r.registering != nil {
		waiting := r.registering.ctx
		stop := context.AfterFunc(waiting, func() { done(context.Cause(waiting)) })
		defer stop()
	}
	err := fn(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errInterrupted) {
		return errInterrupted
	}
	return err
}
