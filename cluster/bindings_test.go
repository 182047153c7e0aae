package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

// village is frontends that hear each other's announcements as long as ears are open.
type village struct {
	t    *testing.T
	etcd string

	mu    sync.Mutex // guards what follows
	all   []*gatekeeper
	quiet bool // nothing is heard
}

// gatekeeper is the bindings of one frontend.
type gatekeeper struct {
	*Bindings
	discovery *EtcdDiscovery

	mu    sync.Mutex // guards ended
	ended []int64
}

func newVillage(t *testing.T, n int) *village {
	v := &village{t: t, etcd: startEtcd(t).EtcdEndpoints()[0]}
	for i := range n {
		v.add(fmt.Sprint("gate-", i))
	}
	for _, g := range v.all {
		eventually(t, func() bool { return len(g.discovery.Servers()) == n }, "all know all")
	}
	return v
}

func (v *village) add(id string) *gatekeeper {
	v.t.Helper()
	self := &Server{ID: id, Type: "gate", Frontend: true, Nonce: "run of " + id}
	d, err := NewEtcdDiscovery(etcdParams(self, v.etcd))
	require.NoError(v.t, err)
	g := &gatekeeper{discovery: d}
	g.Bindings = NewBindings(BindingsParams{
		Self: self, Discovery: d, Announce: v.announce, Ask: v.ask, Log: testLog(),
		Ended: func(session int64) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.ended = append(g.ended, session)
		},
	})
	require.NoError(v.t, d.Init(testContext(v.t)))
	v.t.Cleanup(func() { require.NoError(v.t, d.Shutdown(testContext(v.t))) })
	require.NoError(v.t, g.Init(testContext(v.t)))
	v.t.Cleanup(func() { require.NoError(v.t, g.Shutdown(testContext(v.t))) })
	register(v.t, d)
	v.all = append(v.all, g)
	return g
}

var errSilence = errors.New("nobody hears")

func (v *village) announce(m *clusterpb.BindMsg) error {
	if v.silent() {
		return errSilence
	}
	for _, g := range v.all {
		g.Heard(m)
	}
	return nil
}

func (v *village) ask(_ context.Context, to *Server, m *clusterpb.BindMsg) (bool, error) {
	if v.silent() {
		return false, errSilence
	}
	for _, g := range v.all {
		if g.params.Self.ID == to.ID {
			return g.Asked(m), nil
		}
	}
	return false, errNoResponders
}

func (v *village) silent() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.quiet
}

func (v *village) hush(quiet bool) {
	v.mu.Lock()
	v.quiet = quiet
	v.mu.Unlock()
}

// bind is a whole bind, as a pool does it.
func (g *gatekeeper) bind(t *testing.T, session int64, uid string) error {
	t.Helper()
	err := g.Bind(testContext(t), session, uid)
	if err == nil {
		err = g.Bound(session, uid)
	}
	if err != nil {
		g.Unbind(session, uid)
	}
	return err
}

func (g *gatekeeper) has(uid string) int64 {
	g.Bindings.mu.Lock()
	defer g.Bindings.mu.Unlock()
	if e := g.held[uid]; e != nil {
		return e.session
	}
	return 0
}

func (v *village) located(uid string, id string, session int64) func() bool {
	return func() bool {
		found, err := v.all[0].Locate(context.Background(), []string{uid})
		return err == nil && found[uid].ServerID == id && found[uid].Session == session
	}
}

// TestBindings_ThousandsAtOnce: everybody has a record of its own however the
// transactions are batched, and no key is twice in one.
func TestBindings_ThousandsAtOnce(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	const users = 1000
	var logins sync.WaitGroup
	for i := range users {
		logins.Go(func() {
			uid := fmt.Sprint("user-", i/2) // two sessions each
			if err := v.all[0].bind(t, int64(i+1), uid); err != nil {
				t.Error(err)
			}
		})
	}
	logins.Wait()
	uids := make([]string, 0, users/2)
	for i := range users / 2 {
		uids = append(uids, fmt.Sprint("user-", i))
	}
	eventually(t, func() bool { // a slow etcd gets the records later
		found, err := v.all[0].Locate(testContext(t), uids)
		return err == nil && !slices.ContainsFunc(uids, func(uid string) bool { return found[uid].Session != v.all[0].has(uid) })
	}, "all have a record")
	for _, uid := range uids {
		v.all[0].Unbind(v.all[0].has(uid), uid)
	}
	eventually(t, func() bool { return rawCount(t, v) == 0 }, "no record is left")
}

func rawCount(t *testing.T, v *village) int64 {
	resp, err := rawClient(t, v.etcd).Get(testContext(t), "t/"+bindingsPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	require.NoError(t, err)
	return resp.Count
}

// TestBindings_NobodyWasHeard: who lost is told until it hears it, and what was
// not announced is announced later.
func TestBindings_NobodyWasHeard(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 2)
	first, second := v.all[0], v.all[1]
	require.NoError(t, first.bind(t, 1, "u"))
	v.hush(true)
	require.NoError(t, second.bind(t, 7, "u"))
	require.Equal(t, int64(1), first.has("u"))
	v.hush(false)
	eventually(t, func() bool { return first.has("u") == 0 }, "it was told")
	eventually(t, func() bool { first.mu.Lock(); defer first.mu.Unlock(); return slices.Equal(first.ended, []int64{1}) }, "its session ended")
	require.True(t, v.located("u", "gate-1", 7)())
	second.Compare()
	eventually(t, func() bool {
		second.Bindings.mu.Lock()
		defer second.Bindings.mu.Unlock()
		e := second.held["u"]
		return e != nil && !e.silent && e.busy == nil
	}, "it was announced")
}

// TestBindings_BindUndone: the session that was to be followed keeps its user.
func TestBindings_BindUndone(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	require.NoError(t, g.bind(t, 1, "u"))
	require.NoError(t, g.Bind(testContext(t), 2, "u"))
	g.Unbind(2, "u")
	require.Equal(t, int64(1), g.has("u"))
	eventually(t, v.located("u", "gate-0", 1), "the record is its own again")
	require.NoError(t, g.Bind(testContext(t), 3, "u"))
	g.Unbind(1, "u") // it is replaced
	require.NoError(t, g.Bound(3, "u"))
	g.Unbind(3, "u")
	eventually(t, v.located("u", "", 0), "nobody")
}

// TestBindings_WaitsForItsTurn: binds of one uid go one after the other.
func TestBindings_WaitsForItsTurn(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	g := v.all[0]
	require.NoError(t, g.Bind(testContext(t), 1, "u"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, g.Bind(ctx, 2, "u"), context.DeadlineExceeded)
	g.Unbind(2, "u")
	require.NoError(t, g.Bound(1, "u"))
	require.NoError(t, g.bind(t, 2, "u"))
	require.Equal(t, int64(2), g.has("u"))
}

// TestBindings_Nonsense: a record that is none stands in nobody's way.
func TestBindings_Nonsense(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	raw := rawClient(t, v.etcd)
	for i, value := range []string{"", "null", "gate-0", `{"server":"a/b","nonce":"n","session":1}`,
		`{"server":"gate-0","nonce":"n","session":1,"epoch":9223372036854775807}`, strings.Repeat("x", 1<<20)} {
		uid := fmt.Sprint("u", i)
		_, err := raw.Put(testContext(t), "t/x/bindings/gate/"+uid, value)
		require.NoError(t, err)
		found, err := v.all[0].Locate(testContext(t), []string{uid})
		require.NoError(t, err)
		require.Empty(t, found)
		require.NoError(t, v.all[0].bind(t, 1, uid))
		require.True(t, v.located(uid, "gate-0", 1)())
	}
}

// TestBindings_EtcdLostItsHistory: a record with an epoch that etcd has not
// reached is followed by a higher one.
func TestBindings_EtcdLostItsHistory(t *testing.T) {
	t.Parallel()
	v := newVillage(t, 1)
	old := Binding{ServerID: "gate-9", Nonce: "n", Session: 3, Epoch: 1 << 40}
	_, err := rawClient(t, v.etcd).Put(testContext(t), "t/x/bindings/gate/u", old.value())
	require.NoError(t, err)
	require.NoError(t, v.all[0].bind(t, 1, "u"))
	found, err := v.all[0].Locate(testContext(t), []string{"u"})
	require.NoError(t, err)
	require.Equal(t, "gate-0", found["u"].ServerID)
	require.Greater(t, found["u"].Epoch, old.Epoch)
}

// TestJudge is who yields to whom.
func TestJudge(t *testing.T) {
	t.Parallel()
	long := time.Now().Add(-time.Minute)
	for name, c := range map[string]struct {
		mine binding
		m    *clusterpb.BindMsg
		want ruling
	}{
		"later record":                 {binding{epoch: 5, at: long}, &clusterpb.BindMsg{Epoch: 6}, yields},
		"earlier record":               {binding{epoch: 7, at: long}, &clusterpb.BindMsg{Epoch: 6}, stays},
		"record after a look":          {binding{base: 5, looked: true, at: long}, &clusterpb.BindMsg{Epoch: 6}, yields},
		"record before a look":         {binding{base: 7, looked: true, at: long}, &clusterpb.BindMsg{Epoch: 6}, stays},
		"look after the record":        {binding{epoch: 5, at: long}, &clusterpb.BindMsg{Base: 6}, yields},
		"look before the record":       {binding{epoch: 7, at: long}, &clusterpb.BindMsg{Base: 6}, stays},
		"blind against a record":       {binding{epoch: 7, at: long}, &clusterpb.BindMsg{Fid: "a"}, yields},
		"blind at the same time, low":  {binding{epoch: 7, at: time.Now()}, &clusterpb.BindMsg{Fid: "a"}, insists},
		"blind at the same time, high": {binding{epoch: 7, at: time.Now()}, &clusterpb.BindMsg{Fid: "z"}, yields},
		"blind before mine":            {binding{binds: true, busy: make(chan struct{})}, &clusterpb.BindMsg{Fid: "z"}, stays},
		"told that it lost":            {binding{epoch: 7, at: time.Now(), denied: claimant{"z", 5}}, &clusterpb.BindMsg{Fid: "z", Session: 5}, stays},
		"before the session before":    {binding{floor: 7, at: time.Now()}, &clusterpb.BindMsg{Fid: "z", Epoch: 6}, stays},
		"the one that it replaced":     {binding{epoch: 7, at: time.Now(), replaced: &Binding{ServerID: "z", Session: 5}}, &clusterpb.BindMsg{Fid: "z", Session: 5}, stays},
		"a record, blind and at it":    {binding{busy: make(chan struct{}), at: time.Now()}, &clusterpb.BindMsg{Fid: "a", Epoch: 6}, insists},
		"a record before mine, blind":  {binding{busy: make(chan struct{}), binds: true}, &clusterpb.BindMsg{Fid: "z", Epoch: 6}, stays},
		"my record was replaced, though I know of none": {binding{session: 3, base: 5, looked: true, busy: make(chan struct{}), at: long},
			&clusterpb.BindMsg{Fid: "a", Epoch: 6, ReplacedNonce: "n", ReplacedSession: 3}, yields},
		"my record was replaced": {binding{session: 3, at: time.Now()}, &clusterpb.BindMsg{Fid: "a", Epoch: 6, ReplacedNonce: "n", ReplacedSession: 3}, yields},
	} {
		b := &Bindings{params: BindingsParams{Self: &Server{ID: "m", Nonce: "n"}}}
		require.Equal(t, c.want, b.judgeLocked(&c.mine, c.m), name)
	}
}

// TestRelease is which announcements that came during a bind it has lost against.
func TestRelease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mine binding
		lost bool
	}{
		"nobody":                      {binding{epoch: 5}, false},
		"later record":                {binding{epoch: 5, rival: 6}, true},
		"earlier record":              {binding{epoch: 7, rival: 6}, false},
		"record before a look":        {binding{base: 7, looked: true, rival: 6}, false},
		"record after a look":         {binding{base: 5, looked: true, rival: 6}, true},
		"record before a blind bind":  {binding{rival: 6}, false},
		"a blind one that is younger": {binding{rival: yielded}, true},
	} {
		c.mine.busy = make(chan struct{})
		b := &Bindings{held: map[string]*binding{"u": &c.mine}}
		require.Equal(t, c.lost, b.releaseLocked("u", &c.mine), name)
		require.Equal(t, c.lost, len(b.held) == 0, name)
	}
}

// TestEtcdBatch_Ends: what waits when it all ends is told so.
func TestEtcdBatch_Ends(t *testing.T) {
	t.Parallel()
	group := lifecycle.NewGroup(context.Background())
	require.NoError(t, group.Stop(context.Background()))
	b := &etcdBatch{group: group}
	require.ErrorIs(t, b.do("k", clientv3.OpGet("k")).err, ErrNotRunning)
	b = &etcdBatch{group: lifecycle.NewGroup(context.Background()), kv: func() (clientv3.KV, error) { return nil, errSilence }}
	require.ErrorIs(t, b.do("k", clientv3.OpGet("k")).err, errSilence)
	require.NoError(t, b.group.Stop(context.Background()))
}

func FuzzParseBinding(f *testing.F) {
	f.Add([]byte(`{"server":"gate-1","nonce":"n","session":12}`))
	f.Add([]byte(`{"server":"gate-1","nonce":"n","session":12,"epoch":9}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		b, ok := parseBinding("gate", &mvccpb.KeyValue{Value: value, ModRevision: 7})
		if !ok {
			require.Empty(t, b.ServerID)
			return
		}
		again, ok := parseBinding("gate", &mvccpb.KeyValue{Value: []byte(b.value()), ModRevision: math.MaxInt64})
		require.True(t, ok)
		require.Equal(t, b.ServerID, again.ServerID)
		require.Equal(t, b.Epoch, again.Epoch)
	})
}
