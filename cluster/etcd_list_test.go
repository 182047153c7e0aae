package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// hookedKV calls before each read with its number, from 1.
type hookedKV struct {
	clientv3.KV
	before func(n int)
	reads  int
}

func (h *hookedKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	h.reads++
	h.before(h.reads)
	return h.KV.Get(ctx, key, opts...)
}

// heavy is a server whose value is of so many KiB.
func heavy(id string, kib int) *Server {
	s := backend(id)
	s.Metadata["weight"] = strings.Repeat("x", kib<<10)
	return s
}

// manyPages puts servers that make at least four pages, and is a store to list them from.
func manyPages(t *testing.T) (store *etcdStore, operator *clientv3.Client, servers []string) {
	t.Helper()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator = rawClient(t, endpoint)
	for n := range firstPage + 3*pageBytes>>15 {
		s := heavy(fmt.Sprintf("s%04d", n), 32)
		put(t, operator, s)
		servers = append(servers, s.ID)
	}
	store, err := openStore(testContext(t), etcdParams(nil, endpoint).withDefaults())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.close()) })
	return store, operator, servers
}

func listed(l listing) []string {
	ids := []string{}
	for _, u := range l.updates {
		ids = append(ids, u.id)
	}
	return ids
}

func TestList_OfOneRevision(t *testing.T) {
	t.Parallel()
	store, operator, want := manyPages(t)
	for _, readAhead := range []int{1, 2, 10} {
		store.entries.readAhead = readAhead
		before, err := operator.Get(testContext(t), "t/")
		require.NoError(t, err)
		kv := &hookedKV{KV: store.kv, before: func(n int) { // between the pages the cluster changes at both ends
			if n > 1 {
				put(t, operator, backend(fmt.Sprintf("z%d-%d", readAhead, n)))
				put(t, operator, backend("s0000"))
				remove(t, operator, "t/servers/room/"+want[len(want)-1])
			}
		}}
		l, err := store.entries.list(testContext(t), kv)
		require.NoError(t, err)
		require.GreaterOrEqual(t, kv.reads, 4)
		require.Equal(t, before.Header.Revision, l.revision)
		require.Equal(t, want, listed(l))
		remove(t, operator, "t/servers/room/z", clientv3.WithPrefix())
		put(t, operator, heavy(want[len(want)-1], 32))
	}
}

func TestList_FirstErrorEndsIt(t *testing.T) {
	t.Parallel()
	store, operator, _ := manyPages(t)
	for _, readAhead := range []int{1, 10} {
		store.entries.readAhead = readAhead
		ctx, cancel := context.WithCancel(testContext(t))
		kv := &hookedKV{KV: store.kv, before: func(n int) {
			if n == 3 {
				cancel()
			}
		}}
		_, err := store.entries.list(ctx, kv)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 3, kv.reads)

		kv = &hookedKV{KV: store.kv, before: func(n int) {
			if n == 3 {
				put(t, operator, backend("s0000"))
				compact(t, operator)
			}
		}}
		_, err = store.entries.list(testContext(t), kv)
		require.ErrorIs(t, err, rpctypes.ErrCompacted)
		require.Equal(t, 3, kv.reads)
	}
}

func TestNextLimit(t *testing.T) {
	t.Parallel()
	pairs := func(n, bytes int) []*mvccpb.KeyValue {
		list := make([]*mvccpb.KeyValue, n)
		for i := range list {
			list[i] = &mvccpb.KeyValue{Key: []byte("k"), Value: make([]byte, bytes-1)}
		}
		return list
	}
	require.EqualValues(t, maxPage, nextLimit(pairs(firstPage, 300)))
	require.EqualValues(t, 15, nextLimit(pairs(firstPage, 64<<10)))
	require.EqualValues(t, 1, nextLimit(pairs(2, 3<<20)))
	require.EqualValues(t, maxPage, nextLimit([]*mvccpb.KeyValue{{}}))
}
