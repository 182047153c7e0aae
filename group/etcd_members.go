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

// Add implements [Roster].
func (e *EtcdStore) Add(ctx context.Context, name, uid string) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	for {
		group, err := e.find(ctx, name)
		if err != nil {
			return err
		}
		added, err := e.add(ctx, group, name, uid)
		if err != nil || added {
			return err
		}
		// The group was deleted and made again since it was read: its lease may be
		// another one. Look again, until ctx ends.
	}
}

// add puts the member with the lease of the group, if the group is still the
// one that was read.
func (e *EtcdStore) add(ctx context.Context, group *mvccpb.KeyValue, name, uid string) (bool, error) {
	key, member := e.keys.group(name), e.keys.member(name, uid)
	answer, err := e.client.Txn(ctx).If(
		clientv3.Compare(clientv3.CreateRevision(key), "=", group.CreateRevision), missing(member),
	).Then(
		clientv3.OpPut(member, "", clientv3.WithLease(clientv3.LeaseID(group.Lease))),
	).Else(
		clientv3.OpGet(key, clientv3.WithCountOnly()), clientv3.OpGet(member, clientv3.WithCountOnly()),
	).Commit()
	switch {
	case err != nil:
		return false, e.failure(ctx, err)
	case answer.Succeeded:
		return true, nil
	case count(answer, 0) == 0:
		return false, ErrNotFound
	case count(answer, 1) > 0:
		return false, ErrMemberExists
	}
	return false, nil
}

// Remove implements [Roster].
func (e *EtcdStore) Remove(ctx context.Context, name, uid string) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	key, member := e.keys.group(name), e.keys.member(name, uid)
	answer, err := e.client.Txn(ctx).If(present(key), present(member)).Then(
		clientv3.OpDelete(member),
	).Else(
		clientv3.OpGet(key, clientv3.WithCountOnly()),
	).Commit()
	switch {
	case err != nil:
		return e.failure(ctx, err)
	case answer.Succeeded:
		return nil
	case count(answer, 0) == 0:
		return ErrNotFound
	}
	return ErrMemberNotFound
}

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
	answer, err := e.client.Get(ctx, e.keys.members(name), clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, e.failure(ctx, err)
	}
	return int(answer.Count), nil
}

// Members implements [Roster].
func (e *EtcdStore) Members(ctx context.Context, name string) ([]string, error) {
	for {
		members, err := e.list(ctx, name)
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // the revision of the first page is gone: begin again
		}
		if err != nil {
			return nil, err
		}
		slices.Sort(members) // keys are sorted, escaped
		return members, nil
	}
}

// list reads all pages at the revision of the first.
func (e *EtcdStore) list(ctx context.Context, name string) ([]string, error) {
	prefix := e.keys.members(name)
	var members []string
	from, revision := prefix, int64(0)
	for {
		page, at, err := e.readPage(ctx, name, from, revision)
		if err != nil {
			return nil, err
		}
		for _, kv := range page.Kvs {
			members = append(members, unescape(strings.TrimPrefix(string(kv.Key), prefix)))
		}
		if !page.More || len(page.Kvs) == 0 {
			return members, nil
		}
		from, revision = string(page.Kvs[len(page.Kvs)-1].Key)+"\x00", at
	}
}

func (e *EtcdStore) readPage(
	ctx context.Context, name, from string, revision int64,
) (*clientv3.GetResponse, int64, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	end := clientv3.GetPrefixRangeEnd(e.keys.members(name))
	answer, err := e.client.Txn(ctx).Then(
		clientv3.OpGet(e.keys.group(name), clientv3.WithCountOnly(), clientv3.WithRev(revision)),
		clientv3.OpGet(from, clientv3.WithRange(end), clientv3.WithKeysOnly(),
			clientv3.WithLimit(e.page), clientv3.WithRev(revision)),
	).Commit()
	if err != nil {
		return nil, 0, e.failure(ctx, err)
	}
	if count(answer, 0) == 0 {
		return nil, 0, ErrNotFound
	}
	if revision == 0 {
		revision = answer.Header.Revision
	}
	return (*clientv3.GetResponse)(answer.Responses[1].GetResponseRange()), revision, nil
}
