package cluster

import (
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// locateBatch is how many records one transaction reads; etcd allows 128.
const locateBatch = 128

// Locate reads who of the users is bound where, on frontends of whatever type
// that are known now. Users that are not bound, or without a record yet, are
// left out. A user who is bound on several types is told with the latest. An
// error is etcd's; the result has then what was read before.
func (b *Bindings) Locate(ctx context.Context, uids []string) (map[string]Binding, error) {
	found := make(map[string]Binding, len(uids))
	kv, err := b.params.Discovery.kv()
	if err != nil {
		return found, err
	}
	for _, serverType := range b.frontendTypes() {
		for part := range slices.Chunk(uids, locateBatch) {
			if err := locate(ctx, kv, serverType, part, found); err != nil {
				return found, fmt.Errorf("read bindings from etcd: %w", explained(err))
			}
		}
	}
	return found, nil
}

func locate(ctx context.Context, kv clientv3.KV, serverType string, uids []string, found map[string]Binding) error {
	ops := make([]clientv3.Op, len(uids))
	for i, uid := range uids {
		ops[i] = clientv3.OpGet(bindingKey(serverType, uid))
	}
	resp, err := kv.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return err
	}
	for i, uid := range uids {
		for _, entry := range resp.Responses[i].GetResponseRange().Kvs {
			held, ok := parseBinding(serverType, entry)
			if ok && held.Epoch > found[uid].Epoch {
				found[uid] = *held
			}
		}
	}
	return nil
}

// frontendTypes are the types that have frontends.
func (b *Bindings) frontendTypes() []string {
	var types []string
	if b.params.Self.Frontend {
		types = append(types, b.params.Self.Type)
	}
	for _, s := range b.params.Discovery.Servers() {
		if s.Frontend && !slices.Contains(types, s.Type) {
			types = append(types, s.Type)
		}
	}
	return types
}
