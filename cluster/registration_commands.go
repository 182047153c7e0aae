package cluster

import (
	"context"
	"errors"
	"sync"
)

// errInterrupted ends an attempt because a command came.
var errInterrupted = errors.New("interrupted by a command")

// errDeregistered is what a Register gets that a Deregister overtook.
var errDeregistered = errors.New("register: the server was deregistered meanwhile")

type commandKind int

const (
	cmdRegister commandKind = iota
	cmdDeregister
)

// command is one thing that the app asks of a registration.
type command struct {
	kind commandKind
	ctx  context.Context // the caller's: what is done for it ends with it
	done chan error      // room for one
}

// commandBox passes commands to the registration's goroutine and interrupts
// what it is at, so that leaving never waits for an etcd that does not answer.
type commandBox struct {
	commands chan command

	mu        sync.Mutex // guards what follows
	waiting   int        // commands not received yet
	interrupt context.CancelCauseFunc
}

// do has the registration carry out a command and waits for it. running ends with
// the registration.
func (b *commandBox) do(ctx, running context.Context, cmd command) error {
	cmd.ctx, cmd.done = ctx, make(chan error, 1)
	b.knock()
	select {
	case b.commands <- cmd:
	case <-ctx.Done():
		b.received()
		return context.Cause(ctx)
	case <-running.Done():
		b.received()
		return ErrNotRunning
	}
	select {
	case err := <-cmd.done: // soon after ctx ends, and only then is it known what was done
		return err
	case <-running.Done():
		return ErrNotRunning
	}
}

func (b *commandBox) knock() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting++
	if b.interrupt != nil {
		b.interrupt(errInterrupted)
	}
}

// received notes that a command waits no longer.
func (b *commandBox) received() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting--
}

// interruptible is a context that ends with cause errInterrupted when a command
// waits. The function ends it.
func (b *commandBox) interruptible(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupt = cancel
	if b.waiting > 0 {
		cancel(errInterrupted)
	}
	return ctx, cancel
}
