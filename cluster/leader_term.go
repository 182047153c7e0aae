package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrLeadershipLost is the cause with which RunAsLeader cancels its task.
var ErrLeadershipLost = errors.New("this server does not lead its type any more")

// term is one time during which this server leads.
type term struct {
	token int64
	ctx   context.Context // done when the term is over
	end   context.CancelCauseFunc
	lease *leaseTerm
	under clientv3.LeaseID // what it stands on: a later lease is another's term

	mu     sync.Mutex // guards what follows
	tasks  int
	ended  bool
	noTask chan struct{} // closed when the term has ended and no task runs
}

func newTerm(ctx context.Context, l leadership, lease *leaseTerm) *term {
	t := &term{token: l.token, under: l.lease, lease: lease, noTask: make(chan struct{})}
	t.ctx, t.end = context.WithCancelCause(ctx)
	return t
}

// holds reports whether the term certainly goes on: the lease that it stands on
// has not run out by this process's own clock.
func (t *term) holds() bool { return t != nil && t.ctx.Err() == nil && t.lease.lasts(t.under) }

// enter counts a task in, unless the term is over or about to be.
func (t *term) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.ctx.Err() != nil || !t.lease.lasts(t.under) {
		return false
	}
	t.tasks++
	return true
}

func (t *term) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tasks--; t.tasks == 0 && t.ended {
		close(t.noTask)
	}
}

// close lets no more tasks in.
func (t *term) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.ended = true
	if t.tasks == 0 {
		close(t.noTask)
	}
}

// stop ends the term, if there is one.
func (t *term) stop() {
	if t != nil {
		t.close()
		t.end(ErrLeadershipLost) // after it was closed: whoever returns now does not enter again
	}
}

// finish ends the term and waits until no task runs, as far as patience allows.
// It reports whether none does.
func (t *term) finish(ctx context.Context, patience time.Duration) bool {
	t.stop()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-t.noTask:
	case <-timer.C:
	case <-ctx.Done():
	}
	return isClosed(t.noTask)
}

// errTermOver says that a task was cancelled because its term was over.
var errTermOver = errors.New("the term is over")

// run runs a task that was counted in.
func (t *term) run(ctx context.Context, fn func(context.Context, int64) error) (err error) {
	defer t.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(t.ctx, func() { cancel(context.Cause(t.ctx)) })
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the task panicked: %v", p)
		}
		if errors.Is(context.Cause(ctx), ErrLeadershipLost) {
			err = errTermOver
		}
	}()
	return fn(ctx, t.token)
}
