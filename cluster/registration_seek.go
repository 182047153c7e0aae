package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

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
