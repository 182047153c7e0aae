package group

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// DefaultPrefix is the default of EtcdParams.Prefix (config key
	// groups.etcd.prefix).
	DefaultPrefix = "cereus/"
	// DefaultTransactionTimeout is the default of EtcdParams.TransactionTimeout
	// (config key groups.etcd.transactiontimeout).
	DefaultTransactionTimeout = 5 * time.Second
	// DefaultTTL is the default of EtcdParams.TTL and JetStreamParams.TTL.
	DefaultTTL = time.Minute
	// membersPage is how many members one read asks etcd for: below its limit for
	// one message at the longest uids.
	membersPage = 2000
)

// EtcdParams configure [NewEtcdStore].
type EtcdParams struct {
	// Client is connected to etcd. It stays the caller's, who closes it, or gives it
	// back, after the last use of the store. App.EtcdClient with groups.etcd of the
	// configuration is that of service discovery when both have equal settings.
	Client *clientv3.Client
	// Prefix stands before every key, verbatim; [DefaultPrefix] when empty.
	Prefix string
	// TransactionTimeout bounds every operation, for Members every page of it;
	// [DefaultTransactionTimeout] when zero.
	TransactionTimeout time.Duration
	// Self is this server, which can hold members between Start and Stop; nobody
	// when zero.
	Self Holder
	// TTL is how long this server holds members after it died, in whole seconds:
	// that of its registration; [DefaultTTL] when zero. A server that cannot reach
	// etcd for that long counts as dead: what it held is gone.
	TTL time.Duration
	// Log may be nil.
	Log logrus.FieldLogger
}

// EtcdStore is the Store that [NewEtcdStore] returns.
type EtcdStore struct {
	client  *clientv3.Client
	keys    keys
	timeout time.Duration
	page    int64
	run     *etcdRun
}

var _ Store = (*EtcdStore)(nil)

// NewEtcdStore returns a Store that the whole cluster shares, Pitaya servers
// with the same prefix included. It does no I/O by itself. Only to hold members
// and to follow changes it is started, by the Groups it is in. When etcd cannot be
// reached its methods fail with errs.CodeUnavailable; what they were about to
// do may then have been done.
func NewEtcdStore(p EtcdParams) *EtcdStore {
	if p.Prefix == "" {
		p.Prefix = DefaultPrefix
	}
	if p.TransactionTimeout <= 0 {
		p.TransactionTimeout = DefaultTransactionTimeout
	}
	return &EtcdStore{
		client: p.Client, keys: keys{prefix: p.Prefix}, timeout: p.TransactionTimeout, page: membersPage,
		run: newEtcdRun(p),
	}
}

// Create implements [Directory].
func (e *EtcdStore) Create(ctx context.Context, name string, ttl time.Duration) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	lease, err := e.grant(ctx, ttl)
	if err != nil {
		return e.failure(ctx, err)
	}
	key := e.keys.group(name)
	// Members that another program left behind are not this group's.
	create := append([]clientv3.Op{clientv3.OpPut(key, "", clientv3.WithLease(lease))}, e.keys.emptying(name)...)
	answer, err := e.client.Txn(ctx).If(missing(key)).Then(create...).Commit()
	if err == nil && answer.Succeeded {
		return nil
	}
	e.revoke(ctx, lease)
	if err != nil {
		return e.failure(ctx, err)
	}
	return ErrExists
}

// Delete implements [Directory].
func (e *EtcdStore) Delete(ctx context.Context, name string) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	key := e.keys.group(name)
	remove := append([]clientv3.Op{clientv3.OpDelete(key, clientv3.WithPrevKV())}, e.keys.emptying(name)...)
	answer, err := e.client.Txn(ctx).If(present(key)).Then(remove...).Commit()
	if err != nil {
		return e.failure(ctx, err)
	}
	if !answer.Succeeded {
		return ErrNotFound
	}
	for _, kv := range answer.Responses[0].GetResponseDeleteRange().PrevKvs {
		e.revoke(ctx, clientv3.LeaseID(kv.Lease))
	}
	return nil
}

// Clear implements [Directory].
func (e *EtcdStore) Clear(ctx context.Context, name string) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	answer, err := e.client.Txn(ctx).If(present(e.keys.group(name))).Then(e.keys.emptying(name)...).Commit()
	if err != nil {
		return e.failure(ctx, err)
	}
	if !answer.Succeeded {
		return ErrNotFound
	}
	return nil
}

// Renew implements [Directory].
func (e *EtcdStore) Renew(ctx context.Context, name string) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	kv, err := e.find(ctx, name)
	if err != nil {
		return err
	}
	if kv.Lease == 0 {
		return ErrNoTTL
	}
	if _, err := e.client.KeepAliveOnce(ctx, clientv3.LeaseID(kv.Lease)); err != nil {
		return e.failure(ctx, err)
	}
	return nil
}
