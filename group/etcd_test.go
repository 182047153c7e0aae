package group_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
)

func etcd(t *testing.T) (*embedded.Cluster, *clientv3.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := embedded.Start(ctx, embedded.WithoutNATS())
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	client, err := clientv3.New(clientv3.Config{Endpoints: c.EtcdEndpoints(), Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return c, client
}

// inEtcd makes stores with prefixes of their own.
func inEtcd(client *clientv3.Client) freshStore {
	var n atomic.Int64
	return func(_ testing.TB, self group.Holder) group.Store {
		return group.NewEtcdStore(group.EtcdParams{
			Client: client, Prefix: fmt.Sprintf("contract-%d/", n.Add(1)), TransactionTimeout: 30 * time.Second,
			Self: self, TTL: 30 * time.Second,
		}).WithPage(40)
	}
}

func TestEtcd(t *testing.T) {
	t.Parallel()
	_, client := etcd(t)
	var n atomic.Int64
	prefix := func() string { return fmt.Sprintf("test-%d/", n.Add(1)) }
	store := func(prefix string) *group.EtcdStore {
		return group.NewEtcdStore(group.EtcdParams{Client: client, Prefix: prefix, TransactionTimeout: 30 * time.Second})
	}
	t.Run("contract", func(t *testing.T) {
		t.Parallel()
		contract(t, inEtcd(client))
	})
	t.Run("keys of wire.md 12.2", func(t *testing.T) {
		t.Parallel()
		etcdKeys(t, client, group.New(store("pitaya/")))
	})
	t.Run("a group of a Pitaya server", func(t *testing.T) {
		t.Parallel()
		etcdForeign(t, client, prefix(), store)
	})
	t.Run("pages are of one moment", func(t *testing.T) {
		t.Parallel()
		etcdPages(t, store(prefix()).WithPage(2))
	})
	t.Run("leases do not pile up", func(t *testing.T) {
		t.Parallel()
		etcdLeases(t, client, prefix(), store)
	})
	t.Run("caller gives up", func(t *testing.T) {
		t.Parallel()
		stop := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stop)
		require.ErrorIs(t, group.New(store(prefix())).Create(ctx, "room"), stop)
	})
}

func etcdKeys(t *testing.T, client *clientv3.Client, g *group.Groups) {
	ctx := t.Context()
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "ann"))
	require.NoError(t, g.CreateWithTTL(ctx, "match", 90*time.Second+1))
	require.NoError(t, g.Add(ctx, "match", "bob"))
	answer, err := client.Get(ctx, "pitaya/", clientv3.WithPrefix())
	require.NoError(t, err)
	var keys []string
	leases := map[string]int64{}
	for _, kv := range answer.Kvs {
		keys = append(keys, string(kv.Key))
		leases[string(kv.Key)] = kv.Lease
		require.Empty(t, kv.Value)
	}
	require.Equal(t, []string{
		"pitaya/groups/match", "pitaya/groups/match/uids/bob", "pitaya/groups/room", "pitaya/groups/room/uids/ann",
	}, keys)
	require.Zero(t, leases["pitaya/groups/room"]+leases["pitaya/groups/room/uids/ann"])
	lease := leases["pitaya/groups/match"]
	require.NotZero(t, lease)
	require.Equal(t, lease, leases["pitaya/groups/match/uids/bob"], "members have the group's lease")
	ttl, err := client.TimeToLive(ctx, clientv3.LeaseID(lease))
	require.NoError(t, err)
	require.EqualValues(t, 91, ttl.GrantedTTL, "rounded up")
}

// etcdForeign reads and changes what another implementation wrote.
func etcdForeign(t *testing.T, client *clientv3.Client, prefix string, store func(string) *group.EtcdStore) {
	ctx, g := t.Context(), group.New(store(prefix))
	for _, key := range []string{"groups/room", "groups/room/uids/ann", "groups/room/uids/50%", "groups/lost/uids/ann"} {
		_, err := client.Put(ctx, prefix+key, "")
		require.NoError(t, err)
	}
	members, err := g.Members(ctx, "room")
	require.NoError(t, err)
	require.Equal(t, []string{"50%", "ann"}, members)
	require.NoError(t, g.Remove(ctx, "room", "50%"))
	require.ErrorIs(t, g.Add(ctx, "room", "ann"), group.ErrMemberExists)
	_, err = g.Members(ctx, "lost")
	require.ErrorIs(t, err, group.ErrNotFound)
	require.NoError(t, g.Create(ctx, "lost"))
	n, err := g.Count(ctx, "lost")
	require.NoError(t, err)
	require.Zero(t, n, "a new group is empty, whatever was left behind")
}

func etcdPages(t *testing.T, store *group.EtcdStore) {
	ctx, g := t.Context(), group.New(store)
	require.NoError(t, g.Create(ctx, "room"))
	for i := range 20 {
		require.NoError(t, g.Add(ctx, "room", fmt.Sprintf("m%02d", i)))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 60 { // the last leaves before the first comes: never more than 20
			_ = g.Remove(ctx, "room", fmt.Sprintf("m%02d", (19+i)%20))
			_ = g.Add(ctx, "room", fmt.Sprintf("m%02d", (19+i)%20))
		}
	}()
	for {
		members, err := g.Members(ctx, "room")
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(members), 19)
		select {
		case <-done:
			return
		default:
		}
	}
}

func etcdLeases(t *testing.T, client *clientv3.Client, prefix string, store func(string) *group.EtcdStore) {
	ctx, g := t.Context(), group.New(store(prefix))
	require.NoError(t, g.CreateWithTTL(ctx, "room", time.Hour))
	kv, err := client.Get(ctx, prefix+"groups/room")
	require.NoError(t, err)
	require.NoError(t, g.Delete(ctx, "room"))
	ttl, err := client.TimeToLive(ctx, clientv3.LeaseID(kv.Kvs[0].Lease))
	require.NoError(t, err)
	require.EqualValues(t, -1, ttl.TTL, "revoked")
}

func TestEtcdAway(t *testing.T) {
	t.Parallel()
	cluster, client := etcd(t)
	require.NoError(t, cluster.StopEtcd(t.Context()))
	g := group.New(group.NewEtcdStore(group.EtcdParams{Client: client, TransactionTimeout: 200 * time.Millisecond}))
	for name, do := range map[string]func() error{
		"create": func() error { return g.Create(t.Context(), "room") },
		"ttl":    func() error { return g.CreateWithTTL(t.Context(), "room", time.Hour) },
		"delete": func() error { return g.Delete(t.Context(), "room") },
		"clear":  func() error { return g.RemoveAll(t.Context(), "room") },
		"renew":  func() error { return g.RenewTTL(t.Context(), "room") },
		"add":    func() error { return g.Add(t.Context(), "room", "ann") },
		"remove": func() error { return g.Remove(t.Context(), "room", "ann") },
		"count":  func() error { _, err := g.Count(t.Context(), "room"); return err },
		"contains": func() error {
			_, err := g.Contains(t.Context(), "room", "ann")
			return err
		},
		"members": func() error { _, err := g.Members(t.Context(), "room"); return err },
	} {
		start := time.Now()
		err := do()
		require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), "%s: %v", name, err)
		require.Less(t, time.Since(start), 10*time.Second, name)
	}
}

func BenchmarkEtcdMembers(b *testing.B) {
	c, err := embedded.Start(b.Context(), embedded.WithoutNATS())
	require.NoError(b, err)
	defer func() { _ = c.Stop(context.Background()) }()
	client, err := clientv3.New(clientv3.Config{Endpoints: c.EtcdEndpoints(), Logger: zap.NewNop()})
	require.NoError(b, err)
	defer func() { _ = client.Close() }()
	ctx, g := b.Context(), group.New(group.NewEtcdStore(group.EtcdParams{Client: client}))
	require.NoError(b, g.Create(ctx, "room"))
	for i := range 1000 {
		require.NoError(b, g.Add(ctx, "room", fmt.Sprint("user-", i)))
	}
	for b.Loop() {
		_, err := g.Members(ctx, "room")
		require.NoError(b, err)
	}
}
