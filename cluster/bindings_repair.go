package cluster

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

const (
	// mending is how many bindings are compared at the same time.
	mending = 4 * batchSize
	// The pauses between attempts of a comparison that etcd does not answer.
	firstMend = 50 * time.Millisecond
	lastMend  = 500 * time.Millisecond
)

// run sees to bindings without a record, to all of them after a gap, and to
// records without a binding.
func (b *Bindings) run(ctx context.Context) {
	wait := newPauses(firstMend, lastMend)
	var again <-chan time.Time
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-again:
		}
		again = nil
		err := b.mend(ctx)
		if err != nil && !told {
			b.log.WithError(explained(err)).Warn("where users are bound cannot be recorded or announced for now, trying again")
		}
		told = err != nil
		if err != nil {
			again = time.After(wait.after(err))
			continue
		}
		wait.reset()
	}
}

// mend goes through the bindings once. After an error it is to be called again.
func (b *Bindings) mend(ctx context.Context) error {
	uids, all := b.broken()
	if len(uids) == 0 && !b.hasOrphans() && !b.away.Load() {
		return nil
	}
	err := b.probe(ctx)
	if err == nil {
		b.sweepAgain()
		err = b.mendAll(ctx, uids)
	}
	if err != nil && all {
		b.mu.Lock()
		b.all = true
		b.mu.Unlock()
	}
	if errors.Is(err, ErrNotRegistered) && !b.away.Load() {
		return nil // a gap is told when the server is registered
	}
	return err
}

// broken is whose bindings to look at, and whether that is everybody.
func (b *Bindings) broken() (uids []string, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, b.all = b.all, false
	for uid, e := range b.held {
		if all || e.silent || e.adrift || e.epoch == 0 {
			uids = append(uids, uid)
		}
	}
	return uids, all
}

// probe finds out whether etcd answers, so that not every binding has to.
func (b *Bindings) probe(ctx context.Context) error {
	kv, err := b.params.Discovery.kv()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	_, err = kv.Get(ctx, bindingsPrefix, clientv3.WithCountOnly())
	b.away.Store(err != nil)
	return err
}

// mendAll is mendOne for all, and the first error.
func (b *Bindings) mendAll(ctx context.Context, uids []string) error {
	work := errgroup.Group{}
	work.SetLimit(mending)
	for _, uid := range uids {
		work.Go(func() error {
			if ctx.Err() != nil || b.away.Load() {
				return errEtcdAway
			}
			return b.mendOne(uid)
		})
	}
	return work.Wait()
}

// mendOne makes the record of one user right, or ends the session that lost it.
func (b *Bindings) mendOne(uid string) error {
	b.mu.Lock()
	e := b.held[uid]
	if e == nil || e.busy != nil {
		if e != nil {
			e.adrift = true // looked at when its bind is over
		}
		b.mu.Unlock()
		return nil
	}
	e.busy, e.adrift = make(chan struct{}), false
	b.mu.Unlock()
	err := b.fence(uid, e)
	if b.settle(uid, e, err) {
		b.end(e.session)
		return nil
	}
	if err != nil {
		b.mu.Lock()
		e.adrift = true
		b.mu.Unlock()
		return err
	}
	return b.announceAgain(uid, e)
}

// settle ends the ownership of a binding that was mended, and reports whether
// its session is to end.
func (b *Bindings) settle(uid string, e *binding, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case e.dropped:
		close(e.busy)
		delete(b.held, uid)
		b.forgetLocked(uid, e)
		return false
	case errors.Is(err, errLost):
		close(e.busy)
		delete(b.held, uid)
		return true
	}
	return b.releaseLocked(uid, e)
}

// announceAgain announces what could not be when it was bound.
func (b *Bindings) announceAgain(uid string, e *binding) error {
	b.mu.Lock()
	silent := e.silent
	b.mu.Unlock()
	if !silent {
		return nil
	}
	if err := b.params.Announce(b.message(uid, e)); err != nil {
		return err
	}
	b.mu.Lock()
	e.silent = false
	b.mu.Unlock()
	return nil
}

// givenUp asks the frontend that a record names whether it gives the user up for
// e, which it may not have heard of: errLost when it does not. It is that frontend
// which decides, so that not both give up. Another error is to be asked again.
func (b *Bindings) givenUp(uid string, held *Binding, e *binding) error {
	owner, ok := b.params.Discovery.Server(held.ServerID)
	if !ok || !present(owner) || owner.Nonce != held.Nonce {
		return nil
	}
	holds, err := b.ask(b.group.Context(), owner, b.message(uid, e))
	if err == nil && holds {
		return errLost
	}
	return err
}
