package group

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/cereus-game/cereus/embedded"
)

// followed is a store whose follower does what the test says.
func followed(t *testing.T) (*embedded.Cluster, *Groups, *etcdFollower, func() []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := embedded.Start(ctx, embedded.WithoutNATS())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	client, err := clientv3.New(clientv3.Config{Endpoints: c.EtcdEndpoints(), Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	store := NewEtcdStore(EtcdParams{Client: client})
	g := New(store)
	require.NoError(t, g.Init(ctx))
	t.Cleanup(func() { require.NoError(t, g.Shutdown(context.Background())) })
	var told []string
	view := newEtcdView(store.keys, func(c Change) {
		told = append(told, fmt.Sprint(c.Kind, " ", c.Group, " ", c.Member.UID, " ", c.Reason))
	})
	return c, g, store.follower(store.keys.all(), view), func() []string {
		all := told
		told = nil
		return all
	}
}

func TestACompactedHistoryIsToldAsADifference(t *testing.T) {
	t.Parallel()
	_, g, f, told := followed(t)
	ctx := t.Context()
	for _, name := range []string{"room", "ends", "again"} {
		require.NoError(t, g.Create(ctx, name))
		require.NoError(t, g.Add(ctx, name, "ann"))
		require.NoError(t, g.Add(ctx, name, "bob"))
	}
	require.True(t, f.list(ctx))
	require.Empty(t, told())
	require.NoError(t, g.Remove(ctx, "room", "ann"))
	require.NoError(t, g.Add(ctx, "room", "ann"))
	require.NoError(t, g.Remove(ctx, "room", "bob"))
	require.NoError(t, g.Add(ctx, "room", "cid"))
	require.NoError(t, g.Delete(ctx, "ends"))
	require.NoError(t, g.RemoveAll(ctx, "again"))
	now, err := f.store.client.Get(ctx, "x")
	require.NoError(t, err)
	_, err = f.store.client.Compact(ctx, now.Header.Revision)
	require.NoError(t, err)
	require.True(t, f.watch(ctx), "has to list")
	require.Empty(t, told())
	require.True(t, f.list(ctx))
	all := told()
	require.Equal(t, "missed   ", all[0])
	require.ElementsMatch(t, []string{
		"left again ann left", "left again bob left", "left ends ann group ended", "left ends bob group ended",
		"left room ann left", "left room bob left", "joined room ann ", "joined room cid ",
	}, all[1:])
}

func TestAnEtcdThatLostItsHistoryIsListedAgain(t *testing.T) {
	t.Parallel()
	c, g, f, told := followed(t)
	ctx := t.Context()
	require.NoError(t, g.Create(ctx, "room"))
	for i := range 10 {
		require.NoError(t, g.Add(ctx, "room", fmt.Sprint(i)))
	}
	require.True(t, f.list(ctx))
	require.NoError(t, c.StopEtcd(ctx))
	require.NoError(t, c.RestartEtcdEmpty(ctx))
	require.Eventually(t, func() bool { return f.watch(ctx) }, 30*time.Second, 10*time.Millisecond)
	require.True(t, f.list(ctx))
	require.Len(t, told(), 11)
}

func TestAMemberOfAPitayaServerHasNoOldProfile(t *testing.T) {
	t.Parallel()
	_, g, f, told := followed(t)
	ctx := t.Context()
	require.True(t, f.list(ctx))
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "ann", WithAttributes(map[string]string{"team": "red"})))
	key := f.store.keys.member("room", "ann")
	for _, change := range []clientv3.Op{clientv3.OpDelete(key), clientv3.OpPut(key, "")} { // as Pitaya does
		_, err := f.store.client.Do(ctx, change)
		require.NoError(t, err)
	}
	members, err := g.List(ctx, "room")
	require.NoError(t, err)
	require.Equal(t, []Member{{UID: "ann"}}, members)
	require.NoError(t, g.SetAttributes(ctx, "room", "ann", map[string]string{"team": "blue"}))
	members, err = g.List(ctx, "room")
	require.NoError(t, err)
	require.Equal(t, []Member{{UID: "ann", Attributes: map[string]string{"team": "blue"}}}, members)
	require.Empty(t, told())
}

func FuzzEtcdKeys(f *testing.F) {
	f.Add("x/groups/room/uids/ann", []byte(`{"server":"a"}`))
	f.Add("x/groups//servers/a/b", []byte("{"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		k := keys{prefix: "x/"}
		kind, name, uid := k.split(key)
		if kind == keyMember && name == "" || kind == keyProfile && uid == "" {
			t.Fatalf("%q", key)
		}
		view := newEtcdView(k, func(Change) {})
		kv := keyValue(key, value)
		view.list(nil)
		view.apply([]*clientv3.Event{{Type: clientv3.EventTypePut, Kv: kv}})
		view.apply([]*clientv3.Event{{Type: clientv3.EventTypeDelete, Kv: kv}})
		if len(view.groups)+len(view.servers) != 0 {
			t.Fatalf("%q left something", key)
		}
		_, _, _ = k.splitHold(key)
	})
}
