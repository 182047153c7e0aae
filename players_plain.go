package cereus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/session"
)

const (
	// plainTimeout bounds one operation on Pitaya's binding keys.
	plainTimeout = time.Second
	// plainRenewal is the longest time between renewals of their lease, and
	// plainRetry that between attempts of what failed.
	plainRenewal = 30 * time.Second
	plainRetry   = time.Second
	// plainBatch is how many keys one transaction writes; etcd allows 128.
	plainBatch = 100
)

// plainBindings writes the binding keys of Pitaya's module (wire.md 12.1):
// <prefix>bindings/<type>/<uid> with the server's id, on a lease of their own.
// They are for others to read: a bind goes well without them, and what could not
// be written or deleted is when etcd answers. It is a Module.
type plainBindings struct {
	app    *App
	group  *lifecycle.Group
	client *clientv3.Client // of Init
	done   func() error     // gives it back
	lease  atomic.Int64     // 0: there is none
	up     atomic.Bool      // etcd answers: who binds or leaves sees to the key at once
	again  chan struct{}    // there is something to do; room for one
	kept   time.Time        // of run; when the lease was renewed

	mu   sync.Mutex          // guards left
	left map[string]struct{} // users who are gone and whose keys may be there
}

func newPlainBindings(a *App) *plainBindings {
	return &plainBindings{
		app: a, group: lifecycle.NewGroup(context.Background()),
		again: make(chan struct{}, 1), left: make(map[string]struct{}),
	}
}

func (p *plainBindings) hook() {
	p.app.pool.OnAfterBind(func(ctx context.Context, _ *session.Session, uid string) error {
		if p.up.Load() { // else all are written later
			p.failed(p.write(context.WithoutCancel(ctx), []string{uid})) // a client that leaves is no fault of etcd
		}
		return nil
	})
	p.app.pool.OnUnbind(func(_ context.Context, _ *session.Session, uid string) {
		p.leave(uid)
		if p.up.Load() {
			p.retry()
		}
	})
}

// Name says what the module is.
func (p *plainBindings) Name() string { return "plain bindings" }

// Init opens the client and begins to keep a lease.
func (p *plainBindings) Init(context.Context) error {
	var err error
	p.client, p.done, err = p.app.EtcdClient(p.app.config.Modules.BindingStorage.Etcd.EtcdConnection)
	if err != nil {
		return err
	}
	p.group.Go("plain bindings", p.run)
	return nil
}

// AfterInit does nothing.
func (p *plainBindings) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing.
func (p *plainBindings) BeforeShutdown(context.Context) {}

// Shutdown gives the lease back, and the keys with it.
func (p *plainBindings) Shutdown(ctx context.Context) error {
	err := p.group.Stop(ctx)
	if p.client == nil {
		return err
	}
	p.up.Store(false)
	bounded, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	if lease := p.lease.Swap(0); lease != 0 {
		_, _ = p.client.Revoke(bounded, clientv3.LeaseID(lease)) // else it runs out
	}
	return errors.Join(err, p.done())
}

// run keeps the lease and the keys.
func (p *plainBindings) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait, again := p.renewal(), p.again
		if err := p.keep(ctx); err != nil {
			p.up.Store(false)
			p.app.log.WithError(err).Debug("the plain bindings cannot be written, trying again")
			wait, again = plainRetry, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-again:
		}
	}
}

func (p *plainBindings) ttl() time.Duration { return p.app.config.Modules.BindingStorage.Etcd.LeaseTTL }

func (p *plainBindings) renewal() time.Duration { return min(p.ttl()/3, plainRenewal) }

// keep renews the lease when it is time, writes all keys if that is to be done,
// and deletes those of who left.
func (p *plainBindings) keep(ctx context.Context) error {
	if !p.up.Load() || time.Since(p.kept) >= p.renewal() {
		if err := p.renew(ctx); err != nil {
			return err
		}
		p.kept = time.Now()
	}
	if !p.up.Swap(true) { // before: who binds from now on is written at once
		for uids := range slices.Chunk(p.bound(), plainBatch) {
			if err := p.write(ctx, uids); err != nil {
				return err
			}
		}
	}
	for {
		uids := p.leavers()
		if len(uids) == 0 {
			return nil
		}
		if err := p.remove(ctx, uids); err != nil {
			return err
		}
	}
}

// renew has a lease that is good for another TTL.
func (p *plainBindings) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	if lease := p.lease.Load(); lease != 0 {
		_, err := p.client.KeepAliveOnce(ctx, clientv3.LeaseID(lease))
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
		p.up.Store(false) // all keys went with it
	}
	granted, err := p.client.Grant(ctx, int64(p.ttl()/time.Second))
	if err == nil {
		p.lease.Store(int64(granted.ID))
	}
	return err
}

func (p *plainBindings) key(uid string) string {
	return p.app.config.Modules.BindingStorage.Etcd.Prefix + "bindings/" + p.app.self.Type + "/" + uid
}

// write writes the keys of users. Who leaves meanwhile is noted.
func (p *plainBindings) write(ctx context.Context, uids []string) error {
	lease := clientv3.WithLease(clientv3.LeaseID(p.lease.Load()))
	puts := make([]clientv3.Op, len(uids))
	for i, uid := range uids {
		puts[i] = clientv3.OpPut(p.key(uid), p.app.self.ID, lease)
	}
	err := p.commit(ctx, puts)
	for _, uid := range uids {
		if !p.here(uid) {
			p.leave(uid)
			p.retry()
		}
	}
	return err
}

// remove deletes the keys of users who are not here any more, unless they are
// another server's by now. A bind that comes in between writes it again.
func (p *plainBindings) remove(ctx context.Context, uids []string) error {
	uids = slices.DeleteFunc(uids, p.here)
	deletes := make([]clientv3.Op, len(uids))
	for i, uid := range uids {
		ours := clientv3.Compare(clientv3.Value(p.key(uid)), "=", p.app.self.ID)
		deletes[i] = clientv3.OpTxn([]clientv3.Cmp{ours}, []clientv3.Op{clientv3.OpDelete(p.key(uid))}, nil)
	}
	if err := p.commit(ctx, deletes); err != nil {
		for _, uid := range uids {
			p.leave(uid)
		}
		return err
	}
	back := slices.DeleteFunc(uids, func(uid string) bool { return !p.here(uid) })
	return p.write(ctx, back)
}

func (p *plainBindings) commit(ctx context.Context, ops []clientv3.Op) error {
	if len(ops) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	_, err := p.client.Txn(ctx).Then(ops...).Commit()
	return err
}

// failed has everything written again after an error.
func (p *plainBindings) failed(err error) {
	if err != nil {
		p.up.Store(false)
		p.retry()
	}
}

func (p *plainBindings) retry() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}

func (p *plainBindings) here(uid string) bool {
	_, here := p.app.pool.ByUID(uid)
	return here
}

// bound is everybody who is here.
func (p *plainBindings) bound() (uids []string) {
	p.app.pool.EachBound(func(uid string, _ *session.Session) { uids = append(uids, uid) })
	return slices.Compact(uids) // sessions of one user follow each other
}

func (p *plainBindings) leave(uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left[uid] = struct{}{}
}

// leavers takes some of those who left.
func (p *plainBindings) leavers() (uids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for uid := range p.left {
		if len(uids) == plainBatch {
			break
		}
		uids = append(uids, uid)
		delete(p.left, uid)
	}
	return uids
}
