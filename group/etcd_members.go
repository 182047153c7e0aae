package group

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Contains implements [Roster].
func (e *EtcdStore) Contains(ctx context.Context, name, uid string) (bool, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	answer, err := e.client.Txn(ctx).Then(
		clientv3.OpGet(e.keys.group(name), clientv3.WithCountOnly()),
		clientv3.OpGet(e.keys.member(name, uid), clientv3.WithCountOnly()),
	).Commit()
	if err != nil {
		return false, e.failure(ctx, err)
	}
	if count(answer, 0) == 0 {
		return false, ErrNotFound
	}
	return count(answer, 1) > 0, nil
}

// Count implements [Roster].
func (e *EtcdStore) Count(ctx context.Context, name string) (int, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	answer, err := e.client.Txn(ctx).If(present(e.keys.group(name))).Then(
		clientv3.OpGet(e.keys.members(name), clientv3.WithPrefix(), clientv3.WithCountOnly()),
	).Commit()
	if err != nil {
		return 0, e.failure(ctx, err)
	}
	if !answer.Succeeded { // held members of a group whose ttl ran out may still lie about
		return 0, nil
	}
	return int(count(answer, 0)), nil
}

// Members implements [Roster].
func (e *EtcdStore) Members(ctx context.Context, name string) ([]string, error) {
	for {
		kvs, _, err := e.list(ctx, etcdRange{name: name, prefix: e.keys.members(name), opts: []clientv3.OpOption{clientv3.WithKeysOnly()}})
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // the revision of the first page is gone: begin again
		}
		if err != nil {
			return nil, err
		}
		members := make([]string, len(kvs))
		for i, kv := range kvs {
			members[i] = unescape(strings.TrimPrefix(string(kv.Key), e.keys.members(name)))
		}
		slices.Sort(members) // keys are sorted, escaped
		return members, nil
	}
}

// List implements [Profiles].
func (e *EtcdStore) List(ctx context.Context, name string) ([]Member, error) {
	for {
		members, err := e.listMembers(ctx, name)
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return members, err
		}
	}
}

func (e *EtcdStore) listMembers(ctx context.Context, name string) ([]Member, error) {
	kvs, revision, err := e.list(ctx, etcdRange{name: name, prefix: e.keys.members(name)})
	if err != nil {
		return nil, err
	}
	known, _, err := e.list(ctx, etcdRange{name: name, prefix: e.keys.profiles(name), revision: revision})
	if err != nil {
		return nil, err
	}
	profiles := make(map[string]*mvccpb.KeyValue, len(known))
	for _, kv := range known {
		profiles[strings.TrimPrefix(string(kv.Key), e.keys.profiles(name))] = kv
	}
	members := make([]Member, len(kvs))
	for i, kv := range kvs {
		escaped := strings.TrimPrefix(string(kv.Key), e.keys.members(name))
		members[i] = member(unescape(escaped), kv.CreateRevision, profiles[escaped])
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.UID, b.UID) })
	return members, nil
}

// etcdRange is keys of a group to be read.
type etcdRange struct {
	name     string
	prefix   string
	revision int64 // 0 is the latest
	opts     []clientv3.OpOption
}

// list reads all pages at the revision of the first, which it returns.
func (e *EtcdStore) list(ctx context.Context, r etcdRange) ([]*mvccpb.KeyValue, int64, error) {
	var all []*mvccpb.KeyValue
	from := r.prefix
	for {
		page, at, err := e.readPage(ctx, r, from)
		if err != nil {
			return nil, 0, err
		}
		all, r.revision = append(all, page.Kvs...), at
		if !page.More || len(page.Kvs) == 0 {
			return all, at, nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

func (e *EtcdStore) readPage(ctx context.Context, r etcdRange, from string) (*clientv3.GetResponse, int64, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	opts := append([]clientv3.OpOption{
		clientv3.WithRange(clientv3.GetPrefixRangeEnd(r.prefix)), clientv3.WithLimit(e.page), clientv3.WithRev(r.revision),
	}, r.opts...)
	answer, err := e.client.Txn(ctx).Then(
		clientv3.OpGet(e.keys.group(r.name), clientv3.WithCountOnly(), clientv3.WithRev(r.revision)),
		clientv3.OpGet(from, opts...),
	).Commit()
	if err != nil {
		return nil, 0, e.failure(ctx, err)
	}
	if count(answer, 0) == 0 {
		return nil, 0, ErrNotFound
	}
	if r.revision == 0 {
		r.revision = answer.Header.Revision
	}
	return (*clientv3.GetResponse)(answer.Responses[1].GetResponseRange()), r.revision, nil
}
