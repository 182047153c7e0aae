package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// firstRegainPause and lastRegainPause bound the pauses between attempts to
	// register again, except under PolicyExit, which has its own.
	firstRegainPause = 20 * time.Millisecond
	lastRegainPause  = 300 * time.Millisecond
	// A write while the lease is held ends when the lease is to be renewed, but has
	// these at least and at most.
	leastHold = 500 * time.Millisecond
	mostHold  = 3 * time.Second
	// lastWords is the time for leaving when there is none left.
	lastWords = 500 * time.Millisecond
)

// errEvicted says that somebody deleted the key of a paused server.
var errEvicted = errors.New("the key of the paused server was deleted")

// run is the only goroutine that has to do with the lease and the key: it does
// what commands ask and what their fate asks, until ctx ends.
func (r *Registration) run(ctx context.Context) {
	defer r.renewals.close()
	for ctx.Err() == nil {
		switch {
		case r.held.Load() && (r.ill.Load() || !r.wanted.Load()):
			r.stepAside(ctx)
		case r.held.Load():
			r.hold(ctx)
		case r.wanted.Load() && !r.ill.Load() && !r.parked():
			r.seek(ctx)
		default:
			r.excuse()
			r.rest(ctx, nil)
		}
	}
}

// excuse answers a Register that there is no attempt for: the server's health
// checks fail, or a Deregister came that was not waited for.
func (r *Registration) excuse() {
	if !r.wanted.Load() {
		r.answer(errDeregistered)
	}
	r.answer(nil)
}

// parked reports whether somebody deleted the key of the paused server, which
// comes back only when somebody asks.
func (r *Registration) parked() bool { return r.evicted && r.paused() }

func (r *Registration) paused() bool {
	return r.registering == nil && r.Self().State == StatePaused
}

// rest waits for a command, something to do, or until the timer fires.
func (r *Registration) rest(ctx context.Context, timer <-chan time.Time) {
	var givenUp <-chan struct{}
	if r.registering != nil {
		givenUp = r.registering.ctx.Done()
	}
	select {
	case <-ctx.Done():
	case cmd := <-r.mailbox.commands:
		r.handle(cmd)
	case <-r.wake:
	case <-timer:
	case <-givenUp:
		r.giveUp(ctx, context.Cause(r.registering.ctx))
	}
}

// hold keeps what is held: it sees to the next thing that is due or happens.
func (r *Registration) hold(ctx context.Context) {
	wait := time.Until(r.lease.due())
	switch {
	case wait <= 0:
		r.renew(ctx)
		return
	case r.said.dirty():
		r.settle(ctx, r.attempt(ctx, r.rewrite))
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	case <-r.wake:
	case <-r.doubts:
		r.settle(ctx, r.attempt(ctx, r.restore))
	case cmd := <-r.mailbox.commands:
		r.handle(cmd)
	}
}

// lose notes that the registration is gone.
func (r *Registration) lose(reason string) {
	r.calm()
	r.lease.doubtful()
	r.held.Store(false)
	r.lost.Store(true)
	r.said.failed(nil) // it is said when the server registers again
	r.params.Metrics.LeaseLost()
	r.log.WithField("reason", reason).Warn("this server's registration is lost")
	if r.params.OnLoss == PolicyFence && r.params.Self.Frontend {
		r.log.Warn("no new players are taken until this server is registered again (onloss: fence)")
	}
}

// restore puts the key again when it is missing or not as it should be, and
// takes over what somebody edited in it, as far as an Edit could.
func (r *Registration) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.holdTime())
	defer cancel()
	held, err := r.key.look(ctx)
	if err != nil {
		return err
	}
	if held == nil && r.paused() {
		if _, err := r.renewals.renew(ctx, r.lease.id()); err != nil {
			return err // perhaps it went with its lease
		}
		return errEvicted
	}
	if held != nil && held.Lease == int64(r.lease.id()) && r.key.adopt(held, r.said) && !r.said.dirty() && r.key.says(held, r.Self()) {
		return nil
	}
	return r.write(ctx, r.lease.id())
}

// rewrite puts what was just edited.
func (r *Registration) rewrite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.holdTime())
	defer cancel()
	return r.write(ctx, r.lease.id())
}

func (r *Registration) holdTime() time.Duration {
	return min(max(time.Until(r.lease.due()), leastHold), mostHold)
}

// write puts what the server says of itself under a lease.
func (r *Registration) write(ctx context.Context, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, r.key.timeout)
	defer cancel()
	known := r.knows()
	err := r.key.put(ctx, r.said, lease)
	if err == nil {
		r.wrote(known, r.key.revision)
	}
	return err
}

// settle draws the conclusion of a write while the lease was held.
func (r *Registration) settle(ctx context.Context, err error) {
	switch {
	case err == nil:
		r.calm()
	case errors.Is(err, errInterrupted):
		signal(r.doubts)
		r.rest(ctx, time.After(firstRegainPause)) // for the command; who sent it may have left
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		r.lose("etcd does not know the lease")
	case errors.Is(err, errHeld):
		r.lose("another process put the key")
	case errors.Is(err, errEvicted):
		r.evicted = true
		r.lose("the key was deleted while the server is paused: it stays away until it is resumed")
	default:
		r.said.failed(explained(err))
		signal(r.doubts)
		r.trouble(err)
		r.complain(err, "could not put this server's key, trying again")
		r.rest(ctx, time.After(r.pauses.after(err)))
	}
}

// trouble counts a failure that may pass. One that nobody answered may be the
// connection's.
func (r *Registration) trouble(err error) {
	r.troubled()
	if errors.Is(err, context.DeadlineExceeded) {
		r.store.redial()
	}
	if r.failures++; r.failures == 1 {
		r.since = time.Now()
	}
}

// complain logs the first failure of a row.
func (r *Registration) complain(err error, what string) {
	if r.failures == 1 {
		r.log.WithError(explained(err)).Warn(what)
	}
}

// calm forgets failures.
func (r *Registration) calm() {
	r.failures = 0
	r.pauses.reset()
}

// seek makes one attempt to register and, when it failed, pauses as the policy says.
func (r *Registration) seek(ctx context.Context) {
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

func (r *Registration) established() {
	r.held.Store(true)
	r.lost.Store(false)
	r.calm()
	r.evicted = false
	r.arrived()
	r.answer(nil)
	r.log.WithField("lease", fmt.Sprintf("%x", int64(r.lease.id()))).Info("this server is registered")
}

// failed counts a failure that may pass, and pauses or gives up.
func (r *Registration) failed(ctx context.Context, err error) {
	r.trouble(err)
	if over := r.enough(err); over != nil {
		r.giveUp(ctx, explained(over))
		return
	}
	r.complain(err, "could not register this server, trying again")
	wait := r.pauses.after(err)
	if r.registering == nil && r.params.OnLoss == PolicyExit {
		wait = around(r.params.GrantRetryInterval)
	}
	r.rest(ctx, time.After(wait))
}

// enough is why no further attempt is made after one that failed with err; nil
// when there is another one.
func (r *Registration) enough(err error) error {
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
func (r *Registration) giveUp(ctx context.Context, why error) {
	why = fmt.Errorf("register server %s of type %s: %w", r.Self().ID, r.Self().Type, why)
	r.wanted.Store(false)
	r.failures = 0
	r.spare = append(r.spare, r.lease.over())
	r.sweep(ctx)
	if r.registering != nil {
		r.answer(why)
		return
	}
	r.log.WithError(why).Error("this server cannot be registered any more")
	r.die(why)
}

// die tells the app, whose panic is survived.
func (r *Registration) die(why error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.WithField("panic", p).Error("Die of service discovery panicked")
		}
	}()
	r.params.Die(why)
}

// answer tells the Register that waits, if any.
func (r *Registration) answer(err error) {
	if r.registering != nil {
		r.registering.done <- err
		r.registering = nil
	}
}

// establish gets a lease and puts the key under it. A lease of ours that is not
// needed any more is given back.
func (r *Registration) establish(ctx context.Context) error {
	if err := r.key.clear(ctx, append(r.spare, r.lease.id())...); err != nil {
		return err
	}
	r.sweep(ctx)
	sent := time.Now()
	lease, err := r.grant(ctx)
	if err != nil {
		return err
	}
	r.spare = append(r.spare, lease.ID) // until the key is known to be under it
	r.name(lease.ID)
	r.key.revision = 0 // create only, or find our own
	if err := r.write(ctx, lease.ID); err != nil {
		return err
	}
	r.spare[len(r.spare)-1] = r.lease.over()
	r.lease.confirmed(lease.ID, sent, time.Duration(lease.TTL)*time.Second)
	r.sweep(ctx)
	return nil
}

// name gives a server without an id that of its first lease, which is no other's.
func (r *Registration) name(lease clientv3.LeaseID) {
	self, folder := r.Self(), r.params.Folder
	if self.ID != "" {
		return
	}
	id := folder.id(self.Type, fmt.Sprintf("%x", int64(lease)))
	r.said.name(id)
	r.key.key = folder.key(self.Type, id)
}

// handle carries out one command.
func (r *Registration) handle(cmd command) {
	r.mailbox.received()
	switch cmd.kind {
	case cmdRegister:
		r.handleRegister(cmd)
	case cmdDeregister:
		r.wanted.Store(false)
		cmd.done <- r.leave(cmd.ctx)
	}
}

func (r *Registration) handleRegister(cmd command) {
	switch {
	case r.held.Load():
		cmd.done <- nil
	case r.registering != nil && r.registering.ctx.Err() == nil:
		cmd.done <- errors.New("register: another call is at it")
	case r.ill.Load():
		r.wanted.Store(true)
		cmd.done <- nil // it registers when its checks pass
	default:
		r.answer(context.Canceled) // one that ended and was not told yet
		r.wanted.Store(true)
		r.failures = 0
		r.registering = &cmd
	}
}

// stepAside takes a server whose health checks fail out of the list, which stays
// wanted and comes back when they pass, or one that is not wanted any more.
func (r *Registration) stepAside(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.params.RevokeTimeout)
	defer cancel()
	if err := r.leave(ctx); err != nil {
		r.log.WithError(err).Warn("this server could not leave the list in time, its lease will run out")
	}
}

// leave says that this server left and gives the lease back, which deletes the key.
func (r *Registration) leave(ctx context.Context) error {
	r.answer(errDeregistered)
	r.held.Store(false)
	r.lost.Store(false)
	r.said.failed(nil) // it is said when the server registers again
	r.parting()
	defer r.sweep(ctx)
	lease := r.lease.id()
	if lease == 0 {
		return nil
	}
	errLeave := r.farewell(ctx, lease)
	r.await(ctx)
	r.lease.over()
	_, errRevoke := r.store.lease.Revoke(ctx, lease)
	return errors.Join(unlessGone(errLeave), unlessGone(errRevoke))
}

// farewell says that this server left, which takes it out of every list.
func (r *Registration) farewell(ctx context.Context, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, r.params.RevokeTimeout/2)
	defer cancel()
	return r.key.leave(ctx, r.Self(), lease)
}

// await waits for what stands on the lease to end, in time to give it back.
func (r *Registration) await(ctx context.Context) {
	left := r.lease.left()
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline)*3/4)
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	r.parted(ctx)
}

// attempt runs fn with a context that also ends when a command comes, or with
// the Register that fn is for.
func (r *Registration) attempt(ctx context.Context, fn func(context.Context) error) error {
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
