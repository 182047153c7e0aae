package cluster

import (
	"context"
	"errors"
	"time"
)

// firstRegainPause and lastRegainPause bound the pauses between attempts to
// register again, except under PolicyExit, which has its own.
const (
	firstRegainPause = 20 * time.Millisecond
	lastRegainPause  = 300 * time.Millisecond
)

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

// answer tells the Register that waits, if any.
func (r *Registration) answer(err error) {
	if r.registering != nil {
		r.registering.done <- err
		r.registering = nil
	}
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
