package cluster

import (
	"cmp"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxFenceTries bounds how often a record is tried that others write, too.
const maxFenceTries = 16

var (
	errContended = errors.New("others write the record all the time")
	// errLost: somebody was bound after this session.
	errLost = errors.New("the user was bound elsewhere later")
)

// fence makes the record of uid say e, which the caller owns, in transactions
// that compare the revision last seen. A new bind takes over what it finds; an
// earlier one gets errLost when what it finds is of a later login. After another
// error the record may have been written nevertheless.
func (b *Bindings) fence(uid string, e *binding) error {
	key := b.key(uid)
	lease, errLease := b.params.Discovery.lease()
	f := fencing{b: b, uid: uid, e: e, lease: lease, record: b.record(e)}
	seen := e.rev
	for range maxFenceTries {
		f.writes = errLease == nil && (e.rev == 0 || e.rev != seen || e.lease != lease)
		r := b.records.do(key, f.transaction(key, seen))
		if f.writes && r.unwritten() {
			f.unwritten()
		}
		if errors.Is(r.err, rpctypes.ErrLeaseNotFound) {
			errLease = ErrNotRegistered // and that is not known here yet: only look
			continue
		}
		if err := f.answered(r); err != nil {
			return err
		}
		if r.txn.Succeeded {
			f.succeeded(r.revision)
			return errLease
		}
		found := r.txn.Responses[0].GetResponseRange().Kvs
		next, err := f.found(found, r.revision)
		if err != nil {
			return err
		}
		if next == seen && !f.writes || next != 0 && next == e.rev && e.lease == lease {
			return errLease
		}
		seen = next
	}
	return errContended
}

// fencing is one go of fence.
type fencing struct {
	b      *Bindings
	uid    string
	e      *binding
	lease  clientv3.LeaseID
	record *Binding // to be written
	writes bool     // not only looks
	put    string   // binding.put before the last transaction
	before *Binding // another server's, that is taken over
}

// transaction compares the record's revision and writes or, without a lease or a
// need, looks.
func (f *fencing) transaction(key string, seen int64) clientv3.Op {
	var write []clientv3.Op
	if f.writes {
		value := f.record.value()
		write = append(write, clientv3.OpPut(key, value, clientv3.WithLease(f.lease)))
		f.b.mu.Lock()
		f.put, f.e.put = f.e.put, value
		f.b.mu.Unlock()
	}
	unchanged := clientv3.Compare(clientv3.ModRevision(key), "=", seen)
	return clientv3.OpTxn([]clientv3.Cmp{unchanged}, write, []clientv3.Op{clientv3.OpGet(key)})
}

// unwritten takes the last transaction back.
func (f *fencing) unwritten() {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	f.e.put = f.put
}

// answered notes whether etcd answered.
func (f *fencing) answered(r batchResult) error {
	b := f.b
	if r.err != nil {
		b.away.Store(true)
		signal(b.wake)
		return r.err
	}
	b.away.Store(false)
	b.note(r.revision)
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.e.binds {
		f.e.base, f.e.looked = max(f.e.base, r.revision), true
	}
	return nil
}

// note keeps the highest revision.
func (b *Bindings) note(revision int64) {
	for old := b.seen.Load(); old < revision && !b.seen.CompareAndSwap(old, revision); old = b.seen.Load() {
	}
}

// succeeded concludes a transaction whose comparison held: the record was
// written or, without a write, is as it was.
func (f *fencing) succeeded(revision int64) {
	if !f.writes {
		return
	}
	f.b.mu.Lock()
	f.e.rev, f.e.lease, f.e.put = revision, f.lease, ""
	if f.e.epoch == 0 {
		f.e.epoch = cmp.Or(f.record.Epoch, revision)
	}
	if f.before != nil {
		f.e.replaced = f.before
	}
	f.b.mu.Unlock()
	if f.before != nil {
		f.b.tell(f.before, f.b.message(f.uid, f.e))
	}
}

// found judges the record that is there instead, as of a revision of etcd, and
// returns the revision to compare next.
func (f *fencing) found(kvs []*mvccpb.KeyValue, now int64) (seen int64, err error) {
	b, e := f.b, f.e
	f.before = nil
	if len(kvs) == 0 {
		return 0, nil
	}
	held, ok := parseBinding(b.params.Self.Type, kvs[0])
	switch {
	case !ok: // nobody's
		return held.revision, nil
	case !held.sameRun(b.params.Self.Nonce):
		f.before, err = held, b.earlier(f.uid, held, e)
	case held.Session == e.session: // an answer was lost
		b.mu.Lock()
		e.epoch, e.rev, e.lease, e.put = held.Epoch, held.revision, held.lease, ""
		f.record.Epoch = e.epoch
		b.mu.Unlock()
		return held.revision, nil
	}
	if e.epoch == 0 && held.Epoch > now { // etcd lost its history
		f.record.Epoch = held.Epoch + 1
	}
	return held.revision, err
}

// earlier is nil when held, another server's, is of an earlier login than e, and
// errLost when it is of a later one.
func (b *Bindings) earlier(uid string, held *Binding, e *binding) error {
	b.mu.Lock()
	binds, epoch, base := e.binds, e.epoch, e.base
	b.mu.Unlock()
	switch {
	case binds || epoch == 0 && held.Epoch <= base:
		return nil
	case epoch > held.Epoch: // it is that of one who did not know of this bind when its lease was lost
		return nil
	}
	// It was made while etcd could not be asked here, before or after this bind, or
	// its session may have ended: its owner can tell.
	err := b.givenUp(uid, held, e)
	if err != nil && epoch > 0 { // in doubt the later one stays
		return errLost
	}
	return err
}
