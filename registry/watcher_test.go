package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/registry"
)

func TestWatch_ListsThenTells(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	a, b := start(t, params(endpoint)), start(t, params(endpoint))
	register(t, a, login("l1"))
	eventually(t, sees(t, b, "login", "login/l1"), "known")
	w, all := watch(t, b, "login"), watch(t, b, "")

	list := next(t, w)
	require.Equal(t, registry.KindList, list.Kind)
	require.Equal(t, cluster.ReasonPresent, list.Reason)
	require.Equal(t, []string{"login/l1"}, names(list.Instances))
	require.Equal(t, list, next(t, all))

	register(t, a, registry.Instance{Name: "pay", ID: "p1"})
	register(t, a, login("l2"))
	_, err := rawClient(t, endpoint).Put(testContext(t), "t/servers/login/g", `{"id":"g","type":"login","metadata":{"k":"v"},"frontend":false,"hostname":""}`)
	require.NoError(t, err)
	eventually(t, sees(t, b, "login", "login/l1", "login/l2", "login/g*"), "a game server")
	require.NoError(t, a.Deregister(testContext(t), "login", "l1"))
	eventually(t, sees(t, b, "login", "login/l2", "login/g*"), "left")

	require.Equal(t, "up joined pay/p1", hears(t, all))
	for _, stream := range []*registry.Watcher{w, all} {
		up := next(t, stream)
		require.Equal(t, login("l2").Addresses, up.Instance.Addresses)
		require.Equal(t, up.Revision, up.Instance.Revision)
		require.Equal(t, "up joined login/g*", hears(t, stream))
		down := next(t, stream)
		require.Equal(t, registry.KindDown, down.Kind)
		require.Equal(t, cluster.ReasonLeft, down.Reason)
		require.Equal(t, cluster.StateLeft, down.Instance.State)
		require.Equal(t, "l1", down.Instance.ID)
	}
}

func TestWatch_FallsBehind(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	r, operator := start(t, params(endpoint)), rawClient(t, endpoint)
	slow, other := watch(t, r, "login"), watch(t, r, "other")
	require.Empty(t, next(t, slow).Instances)
	require.Empty(t, next(t, other).Instances)

	const txns, each = 70, 128 // more than 8,192 changes
	for n := range txns {
		var puts []clientv3.Op
		for m := range each {
			id := fmt.Sprintf("i%d-%d", n, m)
			puts = append(puts, clientv3.OpPut("t/x/services/login/"+id, fmt.Sprintf(`{"id":%q,"type":"login"}`, id)))
		}
		_, err := operator.Txn(testContext(t)).Then(puts...).Commit()
		require.NoError(t, err)
	}
	eventually(t, func() bool { return len(get(t, r, "login")) == txns*each }, "all are known")
	list := next(t, slow)
	require.Equal(t, registry.KindList, list.Kind)
	require.Equal(t, registry.ReasonBehind, list.Reason)
	require.Len(t, list.Instances, txns*each)
	require.Equal(t, registry.ReasonBehind, next(t, other).Reason)

	register(t, r, login("zz"))
	require.Equal(t, "up joined login/zz", hears(t, slow))
}

func TestWatch_Ends(t *testing.T) {
	t.Parallel()
	r := start(t, params(startEtcd(t)))
	waits := func(w *registry.Watcher) <-chan error {
		next(t, w)
		ended := make(chan error, 1)
		go func() {
			_, err := w.Next(context.Background())
			ended <- err
		}()
		return ended
	}
	stopped := watch(t, r, "login")
	ended := waits(stopped)
	stopped.Stop()
	stopped.Stop()
	require.ErrorIs(t, <-ended, registry.ErrStopped)

	ctx, cancel := context.WithCancel(testContext(t))
	w, err := r.Watch(ctx, "login")
	require.NoError(t, err)
	ended = waits(w)
	cancel()
	require.ErrorIs(t, <-ended, registry.ErrStopped)
	_, err = r.Watch(ctx, "login")
	require.ErrorIs(t, err, context.Canceled)

	patient := watch(t, r, "login")
	over, why := context.WithCancelCause(testContext(t))
	why(errors.New("no time"))
	_, err = patient.Next(over)
	require.ErrorContains(t, err, "no time")
	require.Equal(t, registry.KindList, next(t, patient).Kind, "which costs the watcher nothing")
	ended = waits(watch(t, r, "login"))
	stop(t, r)
	require.ErrorIs(t, <-ended, registry.ErrStopped)
	_, err = patient.Next(testContext(t))
	require.ErrorIs(t, err, registry.ErrStopped)
}
