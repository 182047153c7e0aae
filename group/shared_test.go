package group_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
)

func TestTwoServersInEtcd(t *testing.T) {
	t.Parallel()
	c, client := etcd(t)
	at := func(self group.Holder) group.Store {
		return group.NewEtcdStore(group.EtcdParams{Client: client, Self: self, TTL: 5 * time.Second})
	}
	twoServers(t, at)
	comesBack(t, started(t, at(group.Holder{Server: "c", Run: "1"})), func() {
		require.NoError(t, c.StopEtcd(t.Context()))
		require.NoError(t, c.RestartEtcd(t.Context()))
	})
}

func TestTwoServersInJetStream(t *testing.T) {
	t.Parallel()
	c := natsServer(t)
	nc := natsConn(t, c.NATSURL())
	at := func(self group.Holder) group.Store {
		return group.NewJetStreamStore(group.JetStreamParams{Conn: nc, Self: self, TTL: 5 * time.Second})
	}
	twoServers(t, at)
	comesBack(t, started(t, at(group.Holder{Server: "c", Run: "1"})), func() {
		require.NoError(t, c.StopNATS(t.Context(), 0))
		require.NoError(t, c.RestartNATS(t.Context(), 0))
	})
}

// twoServers: a user moves from one frontend to another.
func twoServers(t *testing.T, at func(self group.Holder) group.Store) {
	one, two := group.Holder{Server: "a", Run: "1"}, group.Holder{Server: "b", Run: "1"}
	var here, there bounds
	a, b, ctx := started(t, at(one), group.WithBound(here.has)), started(t, at(two), group.WithBound(there.has)), t.Context()
	e := listen(t, b)
	require.NoError(t, a.Create(ctx, "room"))
	here.Store("ann", true)
	require.NoError(t, b.Add(ctx, "room", "ann", group.UntilUnbind(one), group.WithAttributes(map[string]string{"k": "v"})))
	require.NoError(t, b.Add(ctx, "room", "bob", group.HeldBy(one)))
	require.NoError(t, b.Add(ctx, "room", "cid"))
	there.Store("ann", true)
	require.ErrorIs(t, a.Add(ctx, "room", "ann", group.UntilUnbind(two)), group.ErrMemberExists)
	require.ErrorIs(t, a.Add(ctx, "room", "cid", group.UntilUnbind(two)), group.ErrMemberExists, "and stays for good")
	members, err := b.List(ctx, "room")
	require.NoError(t, err)
	require.Equal(t, []group.Member{
		{UID: "ann", Attributes: map[string]string{"k": "v"}, Holder: two, UntilUnbind: true}, {UID: "bob", Holder: one}, {UID: "cid"},
	}, members)
	here.Delete("ann")
	a.Unbound("ann")
	stop(t, a)
	e.hears(t, "room +ann", "room +bob", "room +cid", "room -bob (server gone)")
	there.Delete("ann")
	b.Unbound("ann")
	e.hears(t, "room +ann", "room +bob", "room +cid", "room -bob (server gone)", "room -ann (left)")
	require.NoError(t, b.Delete(ctx, "room"))
}

// comesBack: nothing is missed while the store is away for a moment.
func comesBack(t *testing.T, g *group.Groups, restart func()) {
	e, ctx := listen(t, g), t.Context()
	self := group.Holder{Server: "c", Run: "1"}
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "ann", group.HeldBy(self)))
	want := []string{"room +ann"}
	e.hears(t, want...)
	restart()
	for i := range 5 {
		uid := fmt.Sprint("u", i)
		require.Eventually(t, func() bool {
			err := g.Add(ctx, "room", uid, group.HeldBy(self))
			require.NotEqual(t, errs.CodeNotFound, errs.CodeOf(err))
			return err == nil || i == 0 && errs.CodeOf(err) == errs.CodeConflict // the first may have been added by an attempt that failed
		}, patience, 50*time.Millisecond)
		require.NoError(t, g.Remove(ctx, "room", uid))
		want = append(want, "room +"+uid, "room -"+uid+" (left)")
	}
	e.hears(t, want...)
}
