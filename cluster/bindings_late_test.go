package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// TestBindings_NotBothYield: a record that was written though its writer does not
// know, and that was taken over. The one who took it over hears late of the bind
// it followed.
func TestBindings_NotBothYield(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 2)
	a, b := v.all[0], v.all[1]
	var late *clusterpb.BindMsg
	b.params.Announce = func(m *clusterpb.BindMsg) error { late = m; return nil }
	b.away.Store(true)
	require.NoError(t, b.Bind(testContext(t), 1, "u"))
	kv, err := b.discovery.kv()
	require.NoError(t, err)
	lease, err := b.discovery.lease()
	require.NoError(t, err)
	b.mu.Lock()
	e := b.held["u"]
	e.put = b.record(e).value()
	b.mu.Unlock()
	_, err = kv.Put(testContext(t), bindingKey("gate", "u"), e.put, clientv3.WithLease(lease))
	require.NoError(t, err)

	require.NoError(t, a.bind(t, 2, "u")) // takes the record over, and b hears of it
	a.Heard(late)
	if err := b.Bound(1, "u"); err != nil {
		b.Unbind(1, "u")
	}
	eventually(t, func() bool { return (a.has("u") == 2) != (b.has("u") == 1) }, "one of them is left")
}

// TestBindings_RecordOfNobody: a later login that has ended, though its record is
// still there, ends no session that was put again meanwhile.
func TestBindings_RecordOfNobody(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 2)
	a, b := v.all[0], v.all[1]
	require.NoError(t, b.bind(t, 1, "u"))
	lease, err := a.discovery.lease()
	require.NoError(t, err)
	_, err = rawClient(t, v.etcd).Put(testContext(t), "t/"+bindingKey("gate", "u"), a.record(&binding{session: 9, epoch: 1 << 40}).value(), clientv3.WithLease(lease))
	require.NoError(t, err)
	b.Compare()
	eventually(t, v.located("u", "gate-1", 1), "it takes the record back")
	require.Equal(t, int64(1), b.has("u"))
}

// TestBindings_ComparedInTheMiddle: a gap that is told while a bind is under way
// concerns its record, too, and that of the session before when the bind fails.
func TestBindings_ComparedInTheMiddle(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	b := v.all[0]
	gap := func() {
		_, err := rawClient(t, v.etcd).Delete(testContext(t), "t/"+bindingKey("gate", "u"))
		require.NoError(t, err)
		b.Compare()
		eventually(t, func() bool { b.Bindings.mu.Lock(); defer b.Bindings.mu.Unlock(); return b.held["u"].adrift }, "it was looked at")
	}
	require.NoError(t, b.Bind(testContext(t), 1, "u"))
	gap()
	require.NoError(t, b.Bound(1, "u"))
	eventually(t, v.located("u", "gate-0", 1), "it is recorded again")

	b.away.Store(true)
	require.NoError(t, b.Bind(testContext(t), 2, "u"))
	gap()
	b.Unbind(2, "u")
	eventually(t, v.located("u", "gate-0", 1), "and so is the one before")
}

// TestBindings_WrittenOver: a frontend that did not see the other, whose lease was
// lost for a moment, put its older bind over that one's record. Who is later has
// it put again, and the older one ends.
func TestBindings_WrittenOver(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 2)
	a, b := v.all[0], v.all[1]
	require.NoError(t, a.bind(t, 1, "u"))
	var before int64
	a.change(func(e *binding) { before = e.epoch })
	v.hush(true)
	require.NoError(t, b.bind(t, 2, "u"))
	record := a.record(&binding{session: 1, epoch: before}).value()
	lease, err := a.discovery.lease()
	require.NoError(t, err)
	put, err := rawClient(t, v.etcd).Put(testContext(t), "t/"+bindingKey("gate", "u"), record, clientv3.WithLease(lease))
	require.NoError(t, err)
	a.change(func(e *binding) { e.rev = put.Header.Revision })
	v.hush(false)
	require.True(t, b.Heard(&clusterpb.BindMsg{
		Uid: "u", Fid: "gate-0", Session: 1, Epoch: before, ReplacedNonce: "run of gate-1", ReplacedSession: 2,
	}))
	eventually(t, v.located("u", "gate-1", 2), "it is the later one's again")
	eventually(t, func() bool { return a.has("u") == 0 }, "the older one has ended")
}

// TestBindings_WhoWasTold: a frontend was told that another one's session holds,
// and ended its own. What it announced before comes late.
func TestBindings_WhoWasTold(t *testing.T) {
	t.Parallel()
	g := newVillage(t, 1).all[0]
	require.NoError(t, g.bind(t, 1, "u"))
	require.NoError(t, g.Bind(testContext(t), 2, "u"))
	g.change(func(e *binding) { e.at = time.Time{} }) // as before it was announced
	late := &clusterpb.BindMsg{Uid: "u", Fid: "gate-9", Session: 5}
	require.True(t, g.Asked(late))
	g.change(func(e *binding) { e.at = time.Now() })
	require.NoError(t, g.Bound(2, "u"))
	require.True(t, g.Heard(late))
	require.NoError(t, g.bind(t, 3, "u"))
	require.True(t, g.Heard(late), "nor does who follows yield")
	require.False(t, g.Heard(&clusterpb.BindMsg{Uid: "u", Fid: "gate-9", Session: 6}), "another session does count")
}
