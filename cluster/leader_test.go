package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

// leads waits until everybody sees id lead the type "room"; "" is nobody.
func leads(t testing.TB, id string, all ...*EtcdDiscovery) Leader {
	t.Helper()
	var l Leader
	eventually(t, func() bool {
		for _, d := range all {
			if l, _ = d.Leader("room"); l.ID != id {
				return false
			}
		}
		return true
	}, "leader "+id)
	return l
}

// rooms starts registered servers, the oldest first.
func rooms(t testing.TB, endpoint string, ids ...string) []*EtcdDiscovery {
	t.Helper()
	var all []*EtcdDiscovery
	for _, id := range ids {
		d := newEtcd(t, etcdParams(backend(id), endpoint))
		register(t, d)
		all = append(all, d)
	}
	return all
}

func TestLeader_TheLongestRegistered(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	watcher := newEtcd(t, etcdParams(nil, endpoint))
	all := rooms(t, endpoint, "z-first", "b", "a-last")
	first := leads(t, "z-first", append(all, watcher)...)
	require.False(t, first.ByHand)
	eventually(t, all[0].IsLeader, "it knows")
	require.False(t, all[1].IsLeader() || all[2].IsLeader() || watcher.IsLeader())

	all[0].Pause()
	second := leads(t, "b", append(all, watcher)...)
	require.Greater(t, second.Token, first.Token)
	eventually(t, func() bool { return all[1].IsLeader() && !all[0].IsLeader() }, "they know")
	all[0].Resume()
	third := leads(t, "z-first", append(all, watcher)...)
	require.Greater(t, third.Token, second.Token)

	require.NoError(t, all[0].Deregister(testContext(t)))
	fourth := leads(t, "b", append(all, watcher)...)
	require.Greater(t, fourth.Token, third.Token)
	register(t, all[0])
	require.NoError(t, watcher.SyncServers(testContext(t)))
	leads(t, "b", append(all, watcher)...)
	crash(t, all[1])
	fifth := leads(t, "a-last", all[0], all[2], watcher)
	require.Greater(t, fifth.Token, fourth.Token)
}

func TestLeader_SetByHand(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	watcher := newEtcd(t, etcdParams(nil, endpoint))
	all := rooms(t, endpoint, "a", "b", "c")
	leads(t, "a", watcher)
	require.NoError(t, watcher.SetLeader(testContext(t), "room", "c"))
	l := leads(t, "c", append(all, watcher)...)
	require.True(t, l.ByHand)
	all[2].Pause()
	leads(t, "a", append(all, watcher)...)
	all[2].Resume()
	require.True(t, leads(t, "c", append(all, watcher)...).ByHand, "the choice holds")
	require.NoError(t, watcher.SetLeader(testContext(t), "room", ""))
	require.False(t, leads(t, "a", append(all, watcher)...).ByHand)
	require.NoError(t, all[1].SetLeader(testContext(t), "room", "b"))
	require.NoError(t, all[1].Deregister(testContext(t)))
	leads(t, "a", all[0], all[2], watcher)
	register(t, all[1])
	require.NoError(t, watcher.SyncServers(testContext(t)))
	leads(t, "a", watcher) // the choice was of a run that left

	require.ErrorIs(t, watcher.SetLeader(testContext(t), "room", "nobody"), ErrServerUnknown)
	require.ErrorIs(t, watcher.SetLeader(testContext(t), "lobby", "a"), ErrServerUnknown)
	require.ErrorContains(t, watcher.SetLeader(testContext(t), "a/b", "a"), "server type")
	all[2].Pause()
	eventually(t, func() bool { s, _ := watcher.Server("c"); return s.State == StatePaused }, "paused")
	require.ErrorContains(t, watcher.SetLeader(testContext(t), "room", "c"), "paused")
	put(t, rawClient(t, endpoint), backend("pitaya"))
	eventually(t, func() bool { _, ok := watcher.Server("pitaya"); return ok }, "joined")
	require.ErrorContains(t, watcher.SetLeader(testContext(t), "room", "pitaya"), "Pitaya")
}

func TestLeader_NobodyAndNonsense(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	for key, value := range map[string]string{
		"t/leaders/room": `{"id":"ghost","nonce":"n"}`, "t/leaders/room/wanted": "nonsense", "t/leaders/a/b/c": "x", "t/leaders/": "{}", "t/other": "y",
	} {
		_, err := operator.Put(testContext(t), key, value)
		require.NoError(t, err)
	}
	put(t, operator, backend("pitaya"))
	watcher := newEtcd(t, etcdParams(nil, endpoint))
	_, ok := watcher.Leader("room")
	require.False(t, ok, "a claim that no lease bounds is nobody's")
	all := rooms(t, endpoint, "a")
	leads(t, "a", all[0], watcher)
	remove(t, operator, "t/leaders/room")
	eventually(t, func() bool { return keyCount(t, watcher, "leaders/room") == 1 }, "taken again")
	leads(t, "a", all[0], watcher)
	require.NoError(t, all[0].Deregister(testContext(t)))
	leads(t, "", all[0], watcher)
}

func keyCount(t testing.TB, d *EtcdDiscovery, key string) int64 {
	t.Helper()
	resp, err := d.link.Load().store.kv.Get(testContext(t), key)
	require.NoError(t, err)
	return resp.Count
}

// reign is a LeaderListener that writes down who leads.
type reign struct {
	recorder
	tokens []int64
}

func (r *reign) LeaderChanged(e Event) {
	r.mu.Lock()
	r.tokens = append(r.tokens, e.Token)
	r.mu.Unlock()
	name := "nobody"
	if e.Server != nil {
		name = e.Server.ID
	}
	r.notef("leader %s %s", name, e.Reason)
}

func TestLeader_Events(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	watcher, early := newEtcd(t, etcdParams(nil, endpoint)), new(reign)
	watcher.AddListener(early)
	all := rooms(t, endpoint, "a", "b")
	leads(t, "a", watcher)
	eventually(t, sees(watcher, "a", "b"), "joined")
	require.NoError(t, watcher.SetLeader(testContext(t), "room", "b"))
	late := new(reign)
	watcher.AddListener(late)
	require.NoError(t, all[1].Deregister(testContext(t)))
	leads(t, "a", watcher)
	require.NoError(t, all[0].Deregister(testContext(t)))
	leads(t, "", watcher)
	want := []string{"leader a elected", "leader b chosen", "leader nobody vacant", "leader a elected", "leader nobody vacant"}
	of := func(r *reign) []string {
		return slices.DeleteFunc(r.events(), func(s string) bool { return !strings.HasPrefix(s, "leader") })
	}
	eventually(t, func() bool { return slices.Equal(want, of(early)) }, "all changes")
	eventually(t, func() bool { return slices.Equal(want[1:], of(late)) }, "the leader there is, and the changes since")
	require.IsNonDecreasing(t, slices.DeleteFunc(early.tokens, func(n int64) bool { return n == 0 }))
}

// singleton counts how many tasks run at once.
type singleton struct {
	running, most, starts atomic.Int64
	mu                    sync.Mutex // guards tokens
	tokens                []int64
}

func (s *singleton) run(ctx context.Context, token int64) error {
	n := s.running.Add(1)
	defer s.running.Add(-1)
	s.starts.Add(1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	s.mu.Lock()
	s.tokens = append(s.tokens, token)
	s.mu.Unlock()
	<-ctx.Done()
	return context.Cause(ctx)
}

// Whatever becomes of leaders, the task runs on one server at a time, and with a
// token that rises.
func TestRunAsLeader_OneAtATime(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	all := rooms(t, endpoint, "a", "b", "c")
	task := new(singleton)
	ctx, stop := context.WithCancel(context.Background())
	var runners sync.WaitGroup
	for _, d := range all {
		runners.Go(func() { require.ErrorIs(t, d.RunAsLeader(ctx, "room", task.run), context.Canceled) })
	}
	running := func(n int64) func() bool {
		return func() bool { return task.running.Load() == 1 && task.starts.Load() >= n }
	}
	eventually(t, running(1), "runs")
	all[0].Pause()
	eventually(t, running(2), "handed on")
	all[0].Resume()
	eventually(t, running(3), "handed back")
	require.NoError(t, all[2].SetLeader(testContext(t), "room", "c"))
	eventually(t, running(4), "set by hand")
	require.NoError(t, all[2].Deregister(testContext(t)))
	eventually(t, running(5), "it left")
	require.EqualValues(t, 1, task.most.Load(), "never two")

	// Who takes a lease away takes away what tells the leader in time.
	lease := keyOf(t, operator, all[0].Self()).Kvs[0].Lease
	_, err := operator.Revoke(testContext(t), clientv3.LeaseID(lease))
	require.NoError(t, err)
	eventually(t, running(6), "the lease was lost")
	stop()
	runners.Wait()
	require.Zero(t, task.running.Load())
	require.True(t, slices.IsSorted(task.tokens), "%v", task.tokens)
	require.Len(t, slices.Compact(task.tokens), len(task.tokens), "every term has a token of its own: %v", task.tokens)
}

// A leader that is cut off stops before anybody else can lead.
func TestRunAsLeader_CutOff(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy := faultproxy.New(t, endpoint)
	leader := newEtcd(t, etcdParams(backend("a"), proxy.Addr()))
	register(t, leader)
	heir := newEtcd(t, etcdParams(backend("b"), endpoint))
	register(t, heir)
	leads(t, "a", leader, heir)
	task := new(singleton)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var runners sync.WaitGroup
	for _, d := range []*EtcdDiscovery{leader, heir} {
		runners.Go(func() { _ = d.RunAsLeader(ctx, "room", task.run) })
	}
	eventually(t, func() bool { return task.running.Load() == 1 }, "runs")
	away(t, proxy)
	leads(t, "b", heir)
	require.False(t, leader.IsLeader())
	eventually(t, func() bool { return task.starts.Load() == 2 && task.running.Load() == 1 }, "the heir runs it")
	require.EqualValues(t, 1, task.most.Load(), "never two")
	require.NoError(t, proxy.Accept())
	eventually(t, func() bool { return leader.Registered() && heir.IsLeader() }, "the former one is younger now")
	stop()
	runners.Wait()
}

func TestRunAsLeader_Results(t *testing.T) {
	t.Parallel()
	d := rooms(t, startEtcd(t).EtcdEndpoints()[0], "a")[0]
	done := errors.New("done")
	require.ErrorIs(t, d.RunAsLeader(testContext(t), "room", func(context.Context, int64) error { return done }), done)
	require.ErrorContains(t, d.RunAsLeader(testContext(t), "room", func(context.Context, int64) error { panic("boom") }), "boom")
	require.ErrorContains(t, d.RunAsLeader(testContext(t), "gate", nil), `type "room"`)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, d.RunAsLeader(ctx, "room", func(ctx context.Context, _ int64) error { <-ctx.Done(); return ctx.Err() }), context.DeadlineExceeded)
	ended := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		ended <- d.RunAsLeader(context.Background(), "room", func(ctx context.Context, _ int64) error { close(began); <-ctx.Done(); return nil })
	}()
	<-began
	require.NoError(t, d.Shutdown(testContext(t)))
	require.ErrorIs(t, <-ended, ErrNotRunning)
	require.ErrorIs(t, d.RunAsLeader(testContext(t), "room", nil), ErrNotRunning)
	require.ErrorIs(t, d.SetLeader(testContext(t), "room", "a"), ErrNotRunning)
	require.False(t, d.IsLeader())
}

func TestRunAsLeader_BeforeTheStart(t *testing.T) {
	t.Parallel()
	d, err := NewEtcdDiscovery(etcdParams(backend("a"), startEtcd(t).EtcdEndpoints()[0]))
	require.NoError(t, err)
	require.ErrorContains(t, d.RunAsLeader(testContext(t), "gate", nil), `type "room"`)
	began, ended := make(chan int64, 1), make(chan error, 1)
	go func() {
		ended <- d.RunAsLeader(testContext(t), "room", func(_ context.Context, token int64) error { began <- token; return nil })
	}()
	require.NoError(t, d.Init(testContext(t)))
	t.Cleanup(func() { require.NoError(t, d.Shutdown(context.Background())) })
	require.Empty(t, began, "it does not lead yet")
	register(t, d)
	require.NoError(t, <-ended)
	require.Positive(t, <-began)
}
