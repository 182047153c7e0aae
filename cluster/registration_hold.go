package cluster

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A write while the lease is held ends when the lease is to be renewed, but has
// these at least and at most.
const (
	leastHold = 500 * time.Millisecond
	mostHold  = 3 * time.Second
)

// errEvicted says that somebody deleted the key of a paused server.
var errEvicted = errors.New("the key of the paused server was deleted")

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
