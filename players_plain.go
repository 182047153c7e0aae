package cereus

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

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
)

// plainBindings writes the binding keys of Pitaya's module (wire.md 12.1):
// <prefix>bindings/<type>/<uid> with the server's id, on a lease of their own.
// They are for others to read: a bind goes well without them, and what could not
// be written is written when etcd answers. It is a Module.
type plainBindings struct {
	app    *App
	group  *lifecycle.Group
	client *clientv3.Client // of Init
	done   func() error     // gives it back
	lease  atomic.Int64     // 0: there is none
	again  chan struct{}    // a key could not be written; room for one
}

func newPlainBindings(a *App) *plainBindings {
	return &plainBindings{app: a, group: lifecycle.NewGroup(context.Background()), again: make(chan struct{}, 1)}
}

func (p *plainBindings) hook() {
	p.app.pool.OnAfterBind(func(ctx context.Context, _ *session.Session, uid string) error {
		p.written(p.write(ctx, uid))
		return nil
	})
	p.app.pool.OnUnbind(func(_ context.Context, _ *session.Session, uid string) {
		p.group.Go("plain binding", func(ctx context.Context) { p.remove(ctx, uid) })
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
	bounded, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	if lease := p.lease.Swap(0); lease != 0 {
		_, _ = p.client.Revoke(bounded, clientv3.LeaseID(lease)) // else it runs out
	}
	return errors.Join(err, p.done())
}

// run keeps the lease and, when that was lost or a write failed, writes all keys.
func (p *plainBindings) run(ctx context.Context) {
	renewal := min(p.ttl()/3, plainRenewal)
	for ctx.Err() == nil {
		wait := renewal
		if err := p.keep(ctx); err != nil {
			p.app.log.WithError(err).Debug("the plain bindings cannot be written, trying again")
			wait = plainRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-p.again:
			p.lease.Store(0) // with a new one all are written
		}
	}
}

func (p *plainBindings) ttl() time.Duration { return p.app.config.Modules.BindingStorage.Etcd.LeaseTTL }

func (p *plainBindings) keep(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	if lease := p.lease.Load(); lease != 0 {
		_, err := p.client.KeepAliveOnce(bounded, clientv3.LeaseID(lease))
		if err == nil {
			return nil
		}
		p.lease.Store(0)
		return err
	}
	granted, err := p.client.Grant(bounded, int64(p.ttl()/time.Second))
	if err != nil {
		return err
	}
	p.lease.Store(int64(granted.ID))
	p.app.pool.Each(func(s *session.Session) bool {
		if uid := s.UID(); uid != "" {
			err = p.write(ctx, uid)
		}
		return err == nil
	})
	if err != nil {
		p.lease.Store(0)
	}
	return err
}

func (p *plainBindings) key(uid string) string {
	return p.app.config.Modules.BindingStorage.Etcd.Prefix + "bindings/" + p.app.self.Type + "/" + uid
}

func (p *plainBindings) write(ctx context.Context, uid string) error {
	lease := p.lease.Load()
	if lease == 0 {
		return nil // all are written when there is one
	}
	ctx, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	_, err := p.client.Put(ctx, p.key(uid), p.app.self.ID, clientv3.WithLease(clientv3.LeaseID(lease)))
	return err
}

func (p *plainBindings) written(err error) {
	if err == nil {
		return
	}
	select {
	case p.again <- struct{}{}:
	default:
	}
}

// remove deletes the key of a user who is not here any more, unless it is
// another server's by now. A bind that comes in between writes it again.
func (p *plainBindings) remove(ctx context.Context, uid string) {
	if _, here := p.app.pool.ByUID(uid); here || p.lease.Load() == 0 {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	key := p.key(uid)
	_, err := p.client.Txn(bounded).If(clientv3.Compare(clientv3.Value(key), "=", p.app.self.ID)).Then(clientv3.OpDelete(key)).Commit()
	if err != nil {
		p.written(err)
		return
	}
	if _, here := p.app.pool.ByUID(uid); here {
		p.written(p.write(ctx, uid))
	}
}
