package group

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// firstPause and lastPause bound the pauses between attempts while a store is
// away.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// etcdRun is what a store does between operations.
type etcdRun struct {
	params EtcdParams

	mu       sync.Mutex // guards what follows
	sink     Sink
	work     *lifecycle.Group // nil until started
	lessor   clientv3.Lease
	watcher  clientv3.Watcher
	lease    clientv3.LeaseID // of this server; 0 when there is none
	followed chan struct{}    // nil until Follow; closed when everything was listed
}

func newEtcdRun(p EtcdParams) *etcdRun {
	if p.TTL <= 0 {
		p.TTL = DefaultTTL
	}
	return &etcdRun{params: p}
}

// Start implements [Runner].
func (e *EtcdStore) Start(ctx context.Context, sink Sink) error {
	r := e.run
	r.mu.Lock()
	if r.work != nil {
		r.mu.Unlock()
		return errors.New("group: the etcd store was started before: make another")
	}
	r.sink, r.work = sink, lifecycle.NewGroup(context.WithoutCancel(ctx))
	r.lessor, r.watcher = clientv3.NewLease(e.client), clientv3.NewWatcher(e.client)
	r.mu.Unlock()
	if r.params.Self == (Holder{}) {
		return nil
	}
	return e.beHolder(ctx)
}

// beHolder makes this server one that can hold members.
func (e *EtcdStore) beHolder(ctx context.Context) error {
	r := e.run
	alive, err := e.arrive(ctx)
	if err != nil {
		e.warn("the etcd of groups does not answer yet, trying again")
	}
	for err != nil {
		pause(ctx, lastPause)
		if ctx.Err() != nil {
			return errors.Join(late(ctx, err), e.Stop(context.WithoutCancel(ctx)))
		}
		alive, err = e.arrive(ctx)
	}
	r.work.Go("groups.lease", func(ctx context.Context) { e.stayAlive(ctx, alive) })
	held := &etcdHeld{keys: e.keys, self: r.params.Self, sink: r.sink, known: map[string]int64{}}
	r.work.Go("groups.held", e.follower(e.keys.holds(r.params.Self), held).run)
	return nil
}

// late is err with the reason for which ctx ended.
func late(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// arrive puts the key that says that this server can hold members, and keeps
// its lease alive until the channel that it returns is closed.
func (e *EtcdStore) arrive(ctx context.Context) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	bounded, cancel := e.bounded(ctx)
	defer cancel()
	r := e.run
	seconds := int64((r.params.TTL + time.Second - 1) / time.Second)
	lease, err := r.lessor.Grant(bounded, seconds)
	if err != nil {
		return nil, e.failure(bounded, err)
	}
	if _, err := e.client.Put(bounded, e.keys.server(r.params.Self), "", clientv3.WithLease(lease.ID)); err != nil {
		e.revoke(ctx, lease.ID)
		return nil, e.failure(bounded, err)
	}
	r.mu.Lock()
	r.lease = lease.ID
	work := r.work
	r.mu.Unlock()
	alive, err := r.lessor.KeepAlive(work.Context(), lease.ID)
	if err != nil {
		e.revoke(ctx, lease.ID)
		return nil, e.failure(bounded, err)
	}
	return alive, nil
}

// stayAlive arrives again whenever the lease is lost.
func (e *EtcdStore) stayAlive(ctx context.Context, alive <-chan *clientv3.LeaseKeepAliveResponse) {
	for ctx.Err() == nil {
		for range alive { // its end is the end of the lease
			continue
		}
		if ctx.Err() != nil {
			return
		}
		e.warn("this server's lease for members of groups is lost: those it held are gone")
		e.revoke(ctx, e.run.forgetLease()) // so that what hangs on it ends before this server comes back
		var err error
		for alive, err = e.arrive(ctx); err != nil && ctx.Err() == nil; alive, err = e.arrive(ctx) {
			pause(ctx, lastPause)
		}
	}
}

func (e *EtcdStore) warn(text string) {
	if log := e.run.params.Log; log != nil {
		log.Warn(text)
	}
}

// Follow implements [Runner].
func (e *EtcdStore) Follow(ctx context.Context) error {
	r := e.run
	r.mu.Lock()
	if r.work == nil {
		r.mu.Unlock()
		return ErrNotRunning
	}
	if r.followed == nil {
		view := newEtcdView(e.keys, r.sink.Change)
		view.ended = func(name string) {
			r.work.Go("groups.tidy", func(ctx context.Context) { e.tidy(ctx, name) })
		}
		f := e.follower(e.keys.all(), view)
		if !r.work.Go("groups.watch", f.run) {
			r.mu.Unlock()
			return ErrNotRunning
		}
		r.followed = f.listed
	}
	listed, running := r.followed, r.work.Context()
	r.mu.Unlock()
	select {
	case <-listed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("group: follow etcd: %w", context.Cause(ctx))
	case <-running.Done():
		return ErrNotRunning
	}
}

// tidy deletes members that outlived their group because a server held them.
func (e *EtcdStore) tidy(ctx context.Context, name string) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	// When this fails the next Create of the group does it, or the server's lease.
	_, _ = e.client.Txn(ctx).If(missing(e.keys.group(name))).Then(e.keys.emptying(name)...).Commit()
}

// Stop implements [Runner].
func (e *EtcdStore) Stop(ctx context.Context) error {
	r := e.run
	r.mu.Lock()
	work := r.work
	r.mu.Unlock()
	if work == nil {
		return nil
	}
	if err := work.Stop(ctx); err != nil {
		return err
	}
	e.revoke(ctx, r.forgetLease())
	return errors.Join(r.lessor.Close(), r.watcher.Close())
}

// forgetLease returns the lease, which is this server's no more.
func (r *etcdRun) forgetLease() clientv3.LeaseID {
	r.mu.Lock()
	defer r.mu.Unlock()
	lease := r.lease
	r.lease = clientv3.NoLease
	return lease
}
