package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

const (
	// batchSize is how many small transactions travel as one; etcd counts at most
	// 128 operations, and one of these has one.
	batchSize = 64
	// batchFlights is how many batches are under way at the same time: what comes
	// meanwhile gathers. Two and four were slower (bench, scenario login).
	batchFlights = 1
	// batchTimeout bounds how long a transaction waits for its batch, and then
	// how long that one takes.
	batchTimeout = time.Second
)

// errUnsent: the transaction was certainly not sent.
var errUnsent = errors.New("etcd did not answer the transactions before this one")

// etcdBatch makes one transaction of many small ones that are asked for at the
// same time, each with its own comparison. etcd spends most of what a
// transaction costs on the request and the disk, so that a storm of logins is
// many times as fast (bench, scenario login).
type etcdBatch struct {
	kv    func() (clientv3.KV, error)
	group *lifecycle.Group

	mu      sync.Mutex // guards what follows
	waiting []*batchCall
	flights int
}

// batchCall is one small transaction on one key.
type batchCall struct {
	key   string
	op    clientv3.Op // an OpTxn
	since time.Time
	done  func(batchResult) // called once; must not block
}

// batchResult is what became of a batchCall. After an error it may have been
// carried out, unless unwritten.
type batchResult struct {
	txn      *pb.TxnResponse
	revision int64
	err      error
}

// unwritten reports whether the transaction certainly wrote nothing.
func (r batchResult) unwritten() bool {
	return r.err == nil && !r.txn.Succeeded || errors.Is(r.err, errUnsent) || errors.Is(r.err, rpctypes.ErrLeaseNotFound)
}

// do carries out one transaction on key and waits for it, two batchTimeouts at most.
func (b *etcdBatch) do(key string, op clientv3.Op) batchResult {
	result := make(chan batchResult, 1)
	b.submit(key, op, func(r batchResult) { result <- r })
	return <-result
}

// submit has op carried out and done told.
func (b *etcdBatch) submit(key string, op clientv3.Op, done func(batchResult)) {
	b.mu.Lock()
	b.waiting = append(b.waiting, &batchCall{key: key, op: op, since: time.Now(), done: done})
	starts := b.flights < batchFlights
	if starts {
		b.flights++
	}
	b.mu.Unlock()
	if starts && !b.group.Go("etcd batch", b.fly) {
		b.refuse()
	}
}

// refuse fails what waits: the group has ended.
func (b *etcdBatch) refuse() {
	b.mu.Lock()
	refused := b.waiting
	b.waiting = nil
	b.flights--
	b.mu.Unlock()
	finish(refused, batchResult{err: ErrNotRunning})
}

// fly carries out what waits until nothing does.
func (b *etcdBatch) fly(ctx context.Context) {
	for {
		late, batch := b.take()
		finish(late, batchResult{err: errUnsent})
		if len(batch) > 0 {
			b.commit(ctx, batch)
		} else if len(late) == 0 {
			return
		}
	}
}

// take removes the next batch, in which no key is twice, and what waited too
// long. When there is neither, the flight has ended.
func (b *etcdBatch) take() (late, batch []*batchCall) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	keys := make(map[string]struct{}, min(len(b.waiting), batchSize))
	var rest []*batchCall
	for i, c := range b.waiting {
		if len(batch) == batchSize {
			rest = append(rest, b.waiting[i:]...)
			break
		}
		_, twice := keys[c.key]
		switch {
		case now.Sub(c.since) > batchTimeout:
			late = append(late, c)
		case twice:
			rest = append(rest, c)
		default:
			keys[c.key] = struct{}{}
			batch = append(batch, c)
		}
	}
	b.waiting = rest
	if len(late) == 0 && len(batch) == 0 {
		b.flights--
	}
	return late, batch
}

func (b *etcdBatch) commit(ctx context.Context, batch []*batchCall) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	kv, err := b.kv()
	if err != nil {
		finish(batch, batchResult{err: err})
		return
	}
	ops := make([]clientv3.Op, len(batch))
	for i, c := range batch {
		ops[i] = c.op
	}
	resp, err := kv.Txn(ctx).Then(ops...).Commit()
	if errors.Is(err, rpctypes.ErrLeaseNotFound) && len(batch) > 1 {
		for i := range batch { // one of them has it: etcd did nothing
			b.commit(ctx, batch[i:i+1])
		}
		return
	}
	if err != nil {
		finish(batch, batchResult{err: err})
		return
	}
	for i, c := range batch {
		c.done(batchResult{txn: resp.Responses[i].GetResponseTxn(), revision: resp.Header.Revision})
	}
}

func finish(calls []*batchCall, r batchResult) {
	for _, c := range calls {
		c.done(r)
	}
}
