package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrServerUnknown is returned for what concerns a server that is not in the cluster.
var ErrServerUnknown = errors.New("no such server in the cluster")

// EditServer changes what any server of ours says of itself, on behalf of an
// operator, and returns the server as it then is. The server takes the change
// over as if it were its own. ErrServerUnknown: it is not in the cluster;
// ErrRevision: it was changed since IfRevision; ErrInvalidEdit: nobody can be edited
// like that; ErrUnfit: it is a Pitaya server, or tells more of itself than this
// version knows.
func (d *EtcdDiscovery) EditServer(ctx context.Context, id string, e Edit) (*Server, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	run := d.link.Load()
	if run == nil {
		return nil, ErrNotRunning
	}
	known, err := d.find(ctx, id)
	if err != nil {
		return nil, err
	}
	for {
		next, err := run.store.edit(ctx, d.params.Folder.key(known.Type, id), e)
		if errors.Is(err, ErrRevision) && e.IfRevision == 0 {
			continue // somebody was quicker: edit what there is now
		}
		if err != nil {
			return nil, fmt.Errorf("edit server %q: %w", id, err)
		}
		return next, nil
	}
}

// find is a server that is present, if need be after a look whether it just came.
func (d *EtcdDiscovery) find(ctx context.Context, id string) (*Server, error) {
	if s, ok := d.Server(id); ok && present(s) {
		return s, nil
	}
	if err := d.SyncServers(ctx); err != nil {
		return nil, err
	}
	if s, ok := d.Server(id); ok && present(s) {
		return s, nil
	}
	return nil, fmt.Errorf("server %q: %w", id, ErrServerUnknown)
}

// edit makes one attempt to edit the server in a key. The key stays under the
// lease that it is under.
func (s *etcdStore) edit(ctx context.Context, key string, e Edit) (*Server, error) {
	resp, err := s.kv.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) == 0 {
		return nil, ErrServerUnknown
	}
	next, value, err := s.entries.folder.edited(resp.Kvs[0], e)
	if err != nil {
		return nil, err
	}
	txn, err := s.kv.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", resp.Kvs[0].ModRevision)).
		Then(clientv3.OpPut(key, string(value), clientv3.WithIgnoreLease())).
		Commit()
	switch {
	case err != nil:
		return nil, err
	case !txn.Succeeded:
		return nil, ErrRevision
	}
	next.Epoch, next.Revision = resp.Kvs[0].CreateRevision, txn.Header.Revision
	return next, nil
}

// edited is the server of a key after an edit, and its value.
func (f Folder) edited(held *mvccpb.KeyValue, e Edit) (*Server, []byte, error) {
	s, err := f.parse(string(held.Key), held.Value)
	if err != nil {
		return nil, nil, err
	}
	if e.IfRevision != 0 && e.IfRevision != held.ModRevision {
		return nil, nil, ErrRevision
	}
	if !s.Cereus() {
		return nil, nil, fmt.Errorf("%w: it is a Pitaya server, which would not notice", ErrUnfit)
	}
	if again, err := f.value(s); err != nil || !bytes.Equal(again, held.Value) {
		return nil, nil, fmt.Errorf("%w: it is of a newer version, edit it with the tools of that", ErrUnfit)
	}
	next := e.of(s).clone()
	if err := next.fits(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalidEdit, err)
	}
	value, err := f.value(next)
	return next, value, err
}
