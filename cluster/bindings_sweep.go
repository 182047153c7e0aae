package cluster

import (
	"context"
	"maps"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// sweepSize is how many records are deleted at the same time: when thousands of
// players leave at once, those who log in again have their place in each batch.
const sweepSize = batchSize / 2

// tenure is a session of this server and the user that it has, or had.
type tenure struct {
	uid     string
	session int64
}

// orphan is a record of ours that nobody needs.
type orphan struct {
	rev   int64            // of the record; 0: it has none that we know of
	value string           // that may have been written later; "": none
	lease clientv3.LeaseID // 0: it is not known
}

// ended reports whether the record went with the lease that was before this one.
func (o orphan) ended(now clientv3.LeaseID) bool { return o.lease != 0 && o.lease != now }

func (b *Bindings) hasOrphans() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.orphans) > 0
}

// sweepAgain tries again to delete what could not be.
func (b *Bindings) sweepAgain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if lease, err := b.params.Discovery.lease(); err == nil {
		maps.DeleteFunc(b.orphans, func(_ tenure, o orphan) bool { return o.ended(lease) })
	}
	b.sweepLocked()
}

// sweepLocked has the orphans deleted, unless etcd is away.
func (b *Bindings) sweepLocked() {
	if !b.sweeps && !b.away.Load() {
		b.sweeps = b.group.Go("bindings sweep", b.sweep)
	}
}

func (b *Bindings) sweep(context.Context) {
	done := make(chan struct{}, sweepSize)
	for n := b.sweepSome(done); n > 0; n = b.sweepSome(done) {
		for range n {
			<-done
		}
	}
}

// sweepSome begins to delete some of the orphans, says how many, and tells done
// of each.
func (b *Bindings) sweepSome(done chan<- struct{}) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for who, o := range b.orphans {
		if n == sweepSize || b.away.Load() {
			break
		}
		n++
		b.deleteOrphan(who, o, done)
	}
	b.sweeps = n > 0
	return n
}

// deleteOrphan deletes a record if it is still the one that is meant. It does
// not wait.
func (b *Bindings) deleteOrphan(who tenure, o orphan, done chan<- struct{}) {
	key := b.key(who.uid)
	var op []clientv3.Op
	if o.value != "" {
		op = deleteIf(key, clientv3.Compare(clientv3.Value(key), "=", o.value), nil)
	}
	if o.rev != 0 {
		op = deleteIf(key, clientv3.Compare(clientv3.ModRevision(key), "=", o.rev), op)
	}
	b.records.submit(key, op[0], func(r batchResult) {
		defer func() { done <- struct{}{} }()
		if r.err != nil {
			b.away.Store(true)
			signal(b.wake)
			return
		}
		b.note(r.revision)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.orphans[who] == o {
			delete(b.orphans, who)
		}
	})
}

func deleteIf(key string, same clientv3.Cmp, otherwise []clientv3.Op) []clientv3.Op {
	return []clientv3.Op{clientv3.OpTxn([]clientv3.Cmp{same}, []clientv3.Op{clientv3.OpDelete(key)}, otherwise)}
}
