package cluster

import (
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
	key, value := bindingKey(b.params.Self.Type, uid), b.record(e).value()
	lease, errLease := b.params.Discovery.lease()
	f := fencing{b: b, uid: uid, e: e, lease: lease}
	seen := e.epoch
	for range maxFenceTries {
		cmp := clientv3.Compare(clientv3.ModRevision(key), "=", seen)
		write := []clientv3.Op{clientv3.OpPut(key, value, clientv3.WithLease(lease))}
		if errLease != nil || e.epoch != 0 && e.epoch == seen && e.lease == lease {
			write = nil // only look
		} else {
			f.trying()
		}
		r := b.records.do(key, clientv3.OpTxn([]clientv3.Cmp{cmp}, write, []clientv3.Op{clientv3.OpGet(key)}))
		if err := f.answered(r); err != nil {
			return err
		}
		if r.txn.Succeeded {
			return f.succeeded(r.revision, write, errLease)
		}
		next, err := f.found(r.txn.Responses[0].GetResponseRange().Kvs)
		if err != nil || next == e.epoch && next != 0 {
			return err
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
	before *Binding // another server's, that is taken over
}

// trying notes that there may be a record from now on.
func (f *fencing) trying() {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	f.e.tried = true
	if f.e.lease != f.lease {
		f.e.lease = 0 // not known until the answer
	}
	if o, ok := f.b.orphans[f.uid]; ok && o.value == f.b.record(f.e).value() {
		delete(f.b.orphans, f.uid)
	}
}

// answered notes whether etcd answered.
func (f *fencing) answered(r batchResult) error {
	b := f.b
	if r.err != nil {
		if !errors.Is(r.err, rpctypes.ErrLeaseNotFound) {
			b.away.Store(true)
			signal(b.wake)
		}
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
func (f *fencing) succeeded(revision int64, write []clientv3.Op, errLease error) error {
	if write == nil {
		return errLease
	}
	f.b.mu.Lock()
	f.e.epoch, f.e.lease = revision, f.lease
	f.b.mu.Unlock()
	if f.before != nil {
		f.b.tell(f.uid, f.before, revision)
	}
	return nil
}

// found judges the record that is there instead, and returns the revision to
// compare next: that of e when the record is e's already.
func (f *fencing) found(kvs []*mvccpb.KeyValue) (seen int64, err error) {
	b, e := f.b, f.e
	f.before = nil
	if len(kvs) == 0 {
		return 0, nil
	}
	held, err := parseBinding(b.params.Self.Type, kvs[0])
	if err != nil {
		return held.Epoch, nil // nobody's
	}
	switch {
	case held.sameRun(b.params.Self.Nonce) && held.Session == e.session && held.lease == f.lease:
		b.mu.Lock()
		e.epoch, e.lease = held.Epoch, held.lease // an answer was lost
		b.mu.Unlock()
	case held.sameRun(b.params.Self.Nonce): // of an earlier session here, or an earlier lease
	default:
		f.before = held
		return held.Epoch, b.earlier(f.uid, held, e)
	}
	return held.Epoch, nil
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
	case epoch > held.Epoch: // etcd lost its history
		return nil
	case epoch > 0:
		return errLost
	}
	// The record was made while etcd could not be asked here, before or after this
	// bind: in the first case its owner heard of this one and gave the user up.
	return b.givenUp(uid, held)
}
