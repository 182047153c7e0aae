package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cereus-game/cereus/errs"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// revokeTimeout bounds the tidying up after an operation that failed.
const revokeTimeout = time.Second

var errTransactionTimeout = errors.New("etcd did not answer within groups.etcd.transactiontimeout")

func (e *EtcdStore) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, e.timeout, errTransactionTimeout)
}

// find reads the key of a group.
func (e *EtcdStore) find(ctx context.Context, name string) (*mvccpb.KeyValue, error) {
	answer, err := e.client.Get(ctx, e.keys.group(name))
	if err != nil {
		return nil, e.failure(ctx, err)
	}
	if len(answer.Kvs) == 0 {
		return nil, ErrNotFound
	}
	return answer.Kvs[0], nil
}

// grant returns a lease for ttl, none for 0.
func (e *EtcdStore) grant(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	if ttl == 0 {
		return clientv3.NoLease, nil
	}
	seconds := int64((ttl + time.Second - 1) / time.Second)
	lease, err := e.client.Grant(ctx, seconds)
	if err != nil {
		return clientv3.NoLease, err
	}
	return lease.ID, nil
}

// revoke ends a lease that nothing needs, also when ctx is over: it might run
// for years otherwise.
func (e *EtcdStore) revoke(ctx context.Context, lease clientv3.LeaseID) {
	if lease == clientv3.NoLease {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(e.timeout, revokeTimeout))
	defer cancel()
	_, _ = e.client.Revoke(ctx, lease)
}

// failure says what an error of etcd means to a caller.
func (e *EtcdStore) failure(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return ErrNotFound // the group's ttl ran out in the middle
	case errors.Is(err, rpctypes.ErrCompacted):
		return err
	case errors.Is(cause, errTransactionTimeout):
		return errs.Wrap(errs.CodeUnavailable, fmt.Errorf("group: %w: %w", cause, err))
	case cause != nil:
		return fmt.Errorf("group: %w", cause)
	}
	return errs.Wrap(errs.CodeUnavailable, fmt.Errorf("group: etcd: %w", err))
}

func missing(key string) clientv3.Cmp { return clientv3.Compare(clientv3.CreateRevision(key), "=", 0) }

func present(key string) clientv3.Cmp { return clientv3.Compare(clientv3.CreateRevision(key), ">", 0) }

// count is the number of keys that the i-th read of a transaction found.
func count(answer *clientv3.TxnResponse, i int) int64 {
	return answer.Responses[i].GetResponseRange().Count
}
