package group

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// place is a member's place in a group, as it was read.
type place struct {
	name, uid                      string
	group, server, member, profile *mvccpb.KeyValue // nil: not there
}

// look reads a member's place, and the key of the server that is to hold it.
func (e *EtcdStore) look(ctx context.Context, name, uid string, h Holder) (place, error) {
	answer, err := e.client.Txn(ctx).Then(
		clientv3.OpGet(e.keys.group(name)), clientv3.OpGet(e.keys.member(name, uid)),
		clientv3.OpGet(e.keys.profile(name, uid)), clientv3.OpGet(e.keys.server(h)),
	).Commit()
	if err != nil {
		return place{}, e.failure(ctx, err)
	}
	p := place{name: name, uid: uid}
	for i, to := range []**mvccpb.KeyValue{&p.group, &p.member, &p.profile, &p.server} {
		if kvs := answer.Responses[i].GetResponseRange().Kvs; len(kvs) > 0 {
			*to = kvs[0]
		}
	}
	return p, nil
}

// known is the member that is there.
func (p place) known() Member { return member(p.uid, p.member.CreateRevision, p.profile) }

// Add implements [Roster].
func (e *EtcdStore) Add(ctx context.Context, name string, m Member) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	for {
		p, err := e.look(ctx, name, m.UID, m.Holder)
		switch {
		case err != nil:
			return err
		case p.group == nil:
			return ErrNotFound
		case m.held() && p.server == nil:
			return ErrServerGone
		case p.member != nil && !(m.held() && p.known().held()):
			return ErrMemberExists
		}
		// What was read may have changed since: then look again, until ctx ends.
		if done, err := e.put(ctx, p, m); err != nil || done {
			return err
		}
	}
}

// put writes the member if all is still as it was read: with the lease of the
// group, so that they end together, or with that of the server which holds it.
// Held members of a group that ends stay as keys until somebody tidies up, but
// nobody reads the members of a group that is not there.
func (e *EtcdStore) put(ctx context.Context, p place, m Member) (bool, error) {
	cmps := []clientv3.Cmp{same(e.keys.group(p.name), p.group), e.unchanged(p)}
	lease := clientv3.LeaseID(p.group.Lease)
	if m.held() {
		cmps = append(cmps, same(e.keys.server(m.Holder), p.server))
		lease = clientv3.LeaseID(p.server.Lease)
	}
	answer, err := e.client.Txn(ctx).If(cmps...).Then(e.puts(p, m, clientv3.WithLease(lease))...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return false, nil // the group or the server just ended: look which
	case err != nil:
		return false, e.failure(ctx, err)
	case answer.Succeeded && p.member != nil:
		return true, ErrMemberExists
	}
	return answer.Succeeded, nil
}

// puts is what there is to write about a member.
func (e *EtcdStore) puts(p place, m Member, lease clientv3.OpOption) []clientv3.Op {
	ops := []clientv3.Op{clientv3.OpPut(e.keys.member(p.name, p.uid), "", lease)}
	if p.member != nil {
		old := p.known()
		m.Attributes = old.Attributes
		if old.UntilUnbind && !(m.UntilUnbind && old.Holder == m.Holder) {
			ops = append(ops, clientv3.OpDelete(e.keys.hold(old.Holder, p.name, p.uid)))
		}
	}
	if m.held() || len(m.Attributes) > 0 {
		ops = append(ops, clientv3.OpPut(e.keys.profile(p.name, p.uid), profileOf(m), lease))
	}
	if m.UntilUnbind {
		ops = append(ops, clientv3.OpPut(e.keys.hold(m.Holder, p.name, p.uid), "", lease))
	}
	return ops
}

// SetAttributes implements [Profiles].
func (e *EtcdStore) SetAttributes(ctx context.Context, name, uid string, attributes map[string]string) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	for {
		p, err := e.look(ctx, name, uid, Holder{})
		switch {
		case err != nil:
			return err
		case p.group == nil:
			return ErrNotFound
		case p.member == nil:
			return ErrMemberNotFound
		}
		if done, err := e.rewrite(ctx, p, attributes); err != nil || done {
			return err
		}
	}
}

// rewrite writes a member's attributes if all is still as it was read.
func (e *EtcdStore) rewrite(ctx context.Context, p place, attributes map[string]string) (bool, error) {
	m, key := p.known(), e.keys.profile(p.name, p.uid)
	m.Attributes = attributes
	answer, err := e.client.Txn(ctx).If(
		same(e.keys.group(p.name), p.group), e.unchanged(p), modified(key, p.profile),
	).Then(clientv3.OpPut(key, profileOf(m), clientv3.WithLease(clientv3.LeaseID(p.member.Lease)))).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return false, nil
	case err != nil:
		return false, e.failure(ctx, err)
	}
	return answer.Succeeded, nil
}

// Remove implements [Roster].
func (e *EtcdStore) Remove(ctx context.Context, name, uid string) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	key, member := e.keys.group(name), e.keys.member(name, uid)
	answer, err := e.client.Txn(ctx).If(present(key), present(member)).Then(
		clientv3.OpDelete(member, clientv3.WithPrevKV()), clientv3.OpDelete(e.keys.profile(name, uid), clientv3.WithPrevKV()),
	).Else(
		clientv3.OpGet(key, clientv3.WithCountOnly()),
	).Commit()
	switch {
	case err != nil:
		return e.failure(ctx, err)
	case answer.Succeeded:
		e.forget(ctx, name, uid, answer)
		return nil
	case count(answer, 0) == 0:
		return ErrNotFound
	}
	return ErrMemberNotFound
}

// forget deletes the hold of a member that was removed. A hold that stays, as
// those of deleted groups do until the unbind, does no harm: nothing has its
// revision any more.
func (e *EtcdStore) forget(ctx context.Context, name, uid string, removed *clientv3.TxnResponse) {
	members, profiles := removed.Responses[0].GetResponseDeleteRange().PrevKvs, removed.Responses[1].GetResponseDeleteRange().PrevKvs
	if len(members) == 0 || len(profiles) == 0 {
		return
	}
	m := member(uid, members[0].CreateRevision, profiles[0])
	if !m.UntilUnbind {
		return
	}
	key := e.keys.hold(m.Holder, name, uid)
	_, _ = e.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", members[0].ModRevision)).
		Then(clientv3.OpDelete(key)).Commit()
}

// Leave implements [Profiles]. hold is the revision at which the member was put.
func (e *EtcdStore) Leave(ctx context.Context, name, uid string, hold int64) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	member, mine := e.keys.member(name, uid), e.keys.hold(e.run.params.Self, name, uid)
	_, err := e.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(mine), "=", hold)).Then(
		clientv3.OpDelete(mine),
		clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(member), "=", hold)},
			[]clientv3.Op{clientv3.OpDelete(member), clientv3.OpDelete(e.keys.profile(name, uid))}, nil,
		),
	).Commit()
	if err != nil {
		return e.failure(ctx, err)
	}
	return nil
}

// unchanged compares a member with what was read.
func (e *EtcdStore) unchanged(p place) clientv3.Cmp {
	return modified(e.keys.member(p.name, p.uid), p.member)
}

// modified compares a key with what was read, nil for nothing.
func modified(key string, kv *mvccpb.KeyValue) clientv3.Cmp {
	if kv == nil {
		return missing(key)
	}
	return clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision)
}

// same compares whether a key was not deleted since it was read.
func same(key string, kv *mvccpb.KeyValue) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(key), "=", kv.CreateRevision)
}
