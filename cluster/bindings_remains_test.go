package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// change does something to the binding of u as if etcd's answers had been others.
func (g *gatekeeper) change(fn func(e *binding)) {
	g.Bindings.mu.Lock()
	defer g.Bindings.mu.Unlock()
	fn(g.held["u"])
}

// cleared waits until no record is left.
func (v *village) cleared() {
	v.t.Helper()
	eventually(v.t, func() bool { return rawCount(v.t, v) == 0 }, "no record is left")
	for _, g := range v.all {
		eventually(v.t, func() bool { return !g.hasOrphans() }, "nothing is left to be deleted")
	}
}

// TestBindings_YieldsInTheMiddleOfABind: to one without a record, which may
// never get one.
func TestBindings_YieldsInTheMiddleOfABind(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	require.NoError(t, g.Bind(testContext(t), 1, "u"))
	require.False(t, g.Heard(&clusterpb.BindMsg{Uid: "u", Fid: "gate-9"}))
	require.ErrorIs(t, g.Bound(1, "u"), ErrBoundElsewhere)
	g.Unbind(1, "u")
	v.cleared()

	require.NoError(t, g.bind(t, 2, "u")) // the same with a session that was to be followed
	require.NoError(t, g.Bind(testContext(t), 3, "u"))
	require.False(t, g.Heard(&clusterpb.BindMsg{Uid: "u", Fid: "gate-9"}))
	g.Unbind(3, "u")
	require.Zero(t, g.has("u"))
	v.cleared()
}

// TestBindings_FollowedSessionLeavesFirst: a bind without a record that fails
// after its user's earlier session left.
func TestBindings_FollowedSessionLeavesFirst(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	require.NoError(t, g.bind(t, 1, "u"))
	g.away.Store(true)
	require.NoError(t, g.Bind(testContext(t), 2, "u"))
	g.Unbind(1, "u")
	g.Unbind(2, "u")
	g.Compare()
	v.cleared()
}

// TestBindings_TwoThatMayBeLeft: a user comes and goes twice while etcd does not
// answer, and only the first one had a record.
func TestBindings_TwoThatMayBeLeft(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	require.NoError(t, g.bind(t, 1, "u"))
	g.away.Store(true)
	g.Unbind(1, "u")
	require.NoError(t, g.Bind(testContext(t), 2, "u"))
	g.change(func(e *binding) { e.put = "was never written" })
	g.Unbind(2, "u")
	g.Compare()
	v.cleared()
}

// TestBindings_PutAgainUnknown: the answer to putting a record again was lost,
// be it written or not.
func TestBindings_PutAgainUnknown(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	for session, written := range []bool{true, false} {
		require.NoError(t, g.bind(t, int64(session+1), "u"))
		var value string
		g.change(func(e *binding) {
			value = g.record(e).value()
			e.put = value
		})
		if written {
			_, err := rawClient(t, v.etcd).Put(testContext(t), "t/"+bindingKey("gate", "u"), value)
			require.NoError(t, err)
		}
		g.Unbind(int64(session+1), "u")
		v.cleared()
	}
}

// TestBindings_LeavesWhileMended: the user's next session waits until the one
// that leaves is done with the record.
func TestBindings_LeavesWhileMended(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	require.NoError(t, g.bind(t, 1, "u"))
	var mended *binding
	g.change(func(e *binding) {
		e.busy = make(chan struct{})
		mended = e
	})
	g.Unbind(1, "u")
	require.False(t, g.Heard(&clusterpb.BindMsg{Uid: "u", Fid: "gate-9"}), "it is not here any more")
	ctx, cancel := context.WithTimeout(testContext(t), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, g.Bind(ctx, 2, "u"), context.DeadlineExceeded)
	require.False(t, g.settle("u", mended, nil))
	require.NoError(t, g.bind(t, 2, "u"))
	g.Compare()
	eventually(t, v.located("u", "gate-0", 2), "the record is the next one's")
	g.Unbind(2, "u")
	v.cleared()
}

// TestBindings_LeaseEnded: a bind on a lease that has ended is announced with
// what etcd has, and is recorded with the next lease.
func TestBindings_LeaseEnded(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 2)
	first, second := v.all[0], v.all[1]
	require.NoError(t, first.bind(t, 1, "u"))
	lease, err := second.Bindings.params.Discovery.lease()
	require.NoError(t, err)
	_, err = rawClient(t, v.etcd).Revoke(testContext(t), lease)
	require.NoError(t, err)
	require.NoError(t, second.Bind(testContext(t), 7, "u"))
	second.change(func(e *binding) {
		require.True(t, e.looked || e.epoch > 0) // it may have noticed already
		require.False(t, e.put != "" && e.epoch == 0)
	})
	require.False(t, second.away.Load())
	require.NoError(t, second.Bound(7, "u"))
	require.Zero(t, first.has("u"))
	eventually(t, v.located("u", "gate-1", 7), "it is recorded")
}

// TestEtcdBatch_OneLeaseEnded: the others of the batch are carried out.
func TestEtcdBatch_OneLeaseEnded(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	b := &v.all[0].records
	batch := make([]*batchCall, 3)
	results := make([]batchResult, len(batch))
	for i, lease := range []clientv3.LeaseID{0, 12345, 0} {
		key := fmt.Sprint("k", i)
		put := clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut(key, "v", clientv3.WithLease(lease))}, nil)
		batch[i] = &batchCall{key: key, op: put, done: func(r batchResult) { results[i] = r }}
	}
	b.commit(testContext(t), batch)
	require.NoError(t, results[0].err)
	require.ErrorIs(t, results[1].err, rpctypes.ErrLeaseNotFound)
	require.NoError(t, results[2].err)
}

// TestBindings_ManyToTell: a frontend that does not answer costs one goroutine,
// not one for each of its users.
func TestBindings_ManyToTell(t *testing.T) {
	t.Parallel()
	const users = 300
	v := newVillage(t, 2)
	first, second := v.all[0], v.all[1]
	for i := range users {
		require.NoError(t, first.bind(t, int64(i+1), fmt.Sprint("u", i)))
	}
	v.hush(true)
	for i := range users {
		require.NoError(t, second.bind(t, int64(i+1), fmt.Sprint("u", i)))
	}
	require.Less(t, second.group.Running(), 2*tellers)
	v.hush(false)
	for i := range users {
		eventually(t, func() bool { return first.has(fmt.Sprint("u", i)) == 0 }, "all are told")
	}
	eventually(t, func() bool {
		second.Bindings.mu.Lock()
		defer second.Bindings.mu.Unlock()
		return len(second.untold) == 0
	}, "nothing is left to tell")
}

// TestBindings_NotRegistered: logins of a server that has no lease do not each
// look after all the others.
func TestBindings_NotRegistered(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	require.NoError(t, g.discovery.Deregister(testContext(t)))
	p := g.params
	p.Self = &Server{ID: "gate-0", Type: "gate", Nonce: "run of gate-0"}
	b := NewBindings(p) // without Init nobody takes from wake
	t.Cleanup(func() { require.NoError(t, b.Shutdown(testContext(t))) })
	require.NoError(t, b.Bind(testContext(t), 1, "u"))
	require.NoError(t, b.Bound(1, "u"))
	require.Empty(t, b.wake, "a gap is told with the registration")
}

// TestBindings_SameSessionAgain: what is left of the record of a session's
// earlier bind is not deleted under the next one.
func TestBindings_SameSessionAgain(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	require.NoError(t, g.bind(t, 1, "u"))
	g.away.Store(true)
	g.Unbind(1, "u")
	g.away.Store(false)
	require.NoError(t, g.bind(t, 1, "u"))
	require.False(t, g.hasOrphans())
	g.Compare()
	eventually(t, v.located("u", "gate-0", 1), "it is recorded")
	g.Unbind(1, "u")
	v.cleared()
}

// TestBindings_ThousandsLeave: they do not stand in the way of who logs in.
func TestBindings_ThousandsLeave(t *testing.T) {
	t.Parallel()
	const users = 50_000
	v := newVillage(t, 1)
	g := v.all[0]
	g.Bindings.mu.Lock()
	for i := range users {
		g.forgetLocked(fmt.Sprint("left-", i), &binding{session: int64(i + 1), rev: 1})
	}
	g.Bindings.mu.Unlock()
	require.NoError(t, g.bind(t, users+1, "u"))
	require.True(t, g.hasOrphans())
	require.False(t, g.away.Load())
	require.True(t, v.located("u", "gate-0", users+1)())
}

// TestBindings_LosesItsUserWhileMended: to one who says that it has the record.
func TestBindings_LosesItsUserWhileMended(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	for session := int64(1); session <= 100; session++ {
		require.NoError(t, g.bind(t, session, "u"))
		g.change(func(e *binding) { e.lease = 0 }) // to be written again
		var mending sync.WaitGroup
		mending.Go(func() { _ = g.mendOne("u") })
		<-time.After(rand.N(2 * time.Millisecond))
		m := &clusterpb.BindMsg{Uid: "u", Fid: "gate-9", Epoch: 1 << 40, ReplacedNonce: "run of gate-0", ReplacedSession: session}
		require.False(t, g.Heard(m))
		mending.Wait()
		eventually(t, func() bool { return g.has("u") == 0 }, "it gives up, also when a gap had it looked at by itself")
	}
	eventually(t, func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.ended) == 100 }, "all are ended")
	require.NoError(t, g.bind(t, 101, "u")) // over what the other one, that there is not, has left
	g.Unbind(101, "u")
	v.cleared()
}

// TestBindings_AsksWhoHasTheRecord: of two logins at the same time, one of them
// without etcd, one holds, also when what the other one said comes late.
func TestBindings_AsksWhoHasTheRecord(t *testing.T) {
	t.Parallel()
	for name, blind := range map[string]int{"lower id": 0, "higher id": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVillage(t, 2)
			g, other := v.all[blind], v.all[1-blind]
			g.away.Store(true)
			require.NoError(t, g.Bind(testContext(t), 7, "u"))
			late := &clusterpb.BindMsg{Uid: "u", Fid: g.params.Self.ID}
			v.hush(true)
			require.NoError(t, other.bind(t, 1, "u"))
			g.change(func(e *binding) { e.at = time.Now() }) // at the same time, however long etcd took
			require.NoError(t, g.Bound(7, "u"))
			require.Equal(t, int64(1), other.has("u"))
			v.hush(false)
			eventually(t, func() bool { return g.has("u") == 0 || other.has("u") == 0 }, "one gives up")
			other.Bindings.mu.Lock()
			if e := other.held["u"]; e != nil {
				e.at = time.Now().Add(-travel) // so late it is
			}
			other.Bindings.mu.Unlock()
			other.Heard(late)
			winner := v.all[1] // at the same time, the higher id
			eventually(t, func() bool { return winner.has("u") != 0 && v.located("u", winner.params.Self.ID, winner.has("u"))() }, "one is left")
			require.Zero(t, v.all[0].has("u"))
		})
	}
}

// TestBindings_OldNews: what is told late says how old it is.
func TestBindings_OldNews(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 2)
	first, second := v.all[0], v.all[1]
	ages := make(chan int64, 3)
	second.Bindings.params.Ask = func(_ context.Context, _ *Server, m *clusterpb.BindMsg) (bool, error) {
		ages <- m.GetAgeUs()
		if m.GetAgeUs() < 3*firstTell.Microseconds() {
			return false, errSilence
		}
		close(ages)
		return false, nil
	}
	require.NoError(t, first.bind(t, 1, "u"))
	require.NoError(t, second.bind(t, 2, "u"))
	last := int64(-1)
	for age := range ages {
		require.Greater(t, age, last)
		last = age
	}
}

// TestBindings_UndoneBindsDoNotInsist: a bind that hears of another one before
// it fails, and neither does the session that it was to follow come back.
func TestBindings_UndoneBindsDoNotInsist(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 2)
	other, g := v.all[0], v.all[1]
	require.NoError(t, g.bind(t, 1, "u"))
	v.hush(true)
	require.NoError(t, other.bind(t, 2, "u")) // later
	g.away.Store(true)
	require.ErrorIs(t, g.Bind(testContext(t), 3, "u"), errSilence)
	v.hush(false)
	eventually(t, func() bool { g.Bindings.mu.Lock(); defer g.Bindings.mu.Unlock(); return g.held["u"].rival > 0 }, "it is told")
	g.Unbind(3, "u")
	require.Zero(t, g.has("u"))
	require.Equal(t, int64(2), other.has("u"))
}
