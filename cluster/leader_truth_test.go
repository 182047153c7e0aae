package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A former leader that registered again does not take what its view still has
// of its last lease for leadership.
func TestLeader_AnotherLeaseIsAnotherLeader(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	stalled, goOn := make(chan struct{}), make(chan struct{})
	p := etcdParams(backend("a"), endpoint)
	var once sync.Once
	p.Filter = func(s *Server) bool {
		if s.ID == "stall" {
			once.Do(func() { close(stalled); <-goOn })
		}
		return true
	}
	former := newEtcd(t, p)
	register(t, former)
	heir := newEtcd(t, etcdParams(backend("b"), endpoint))
	register(t, heir)
	leads(t, "a", former, heir)
	eventually(t, former.IsLeader, "it knows")
	t.Cleanup(sync.OnceFunc(func() {
		select {
		case <-goOn:
		default:
			close(goOn)
		}
	}))
	put(t, operator, backend("stall")) // the view of a stays as it is from here on
	<-stalled
	_, err := operator.Revoke(testContext(t), clientv3.LeaseID(keyOf(t, operator, former.Self()).Kvs[0].Lease))
	require.NoError(t, err)
	eventually(t, heir.IsLeader, "the heir leads")
	eventually(t, func() bool { return former.Registered() && keyOf(t, operator, former.Self()).Count == 1 }, "registered again")
	for range 20 {
		require.False(t, former.IsLeader() && heir.IsLeader(), "two leaders")
		require.False(t, pauseIsCut(t, 20*time.Millisecond))
	}
	close(goOn)
	leads(t, "b", former, heir)
	require.False(t, former.IsLeader())
}

// When the leader's key changes under it, its tasks end and begin anew with the
// token that is valid now.
func TestRunAsLeader_AnotherTokenIsAnotherTerm(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	d := rooms(t, endpoint, "a")[0]
	task := new(singleton)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var runners sync.WaitGroup
	defer runners.Wait()
	defer stop()
	runners.Go(func() { _ = d.RunAsLeader(ctx, "room", task.run) })
	eventually(t, func() bool { return task.running.Load() == 1 }, "runs")
	resp, err := operator.Get(testContext(t), "t/leaders/room")
	require.NoError(t, err)
	kv := resp.Kvs[0]
	_, err = operator.Put(testContext(t), "t/leaders/room", string(kv.Value), clientv3.WithLease(clientv3.LeaseID(kv.Lease)))
	require.NoError(t, err)
	eventually(t, func() bool { return task.starts.Load() == 2 && task.running.Load() == 1 }, "a new term")
	d.Pause()
	eventually(t, func() bool { return task.running.Load() == 0 }, "no task is left behind")
}

// A task that does not end in time, as one that waits for the very Deregister,
// does not keep the server in the list.
func TestRunAsLeader_StubbornTaskAndLeaving(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, watcher := rawClient(t, endpoint), newEtcd(t, etcdParams(nil, endpoint))
	p := etcdParams(backend("a"), endpoint)
	p.TTL, p.RevokeTimeout = time.Minute, 2*time.Second
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(watcher, "a"), "joined")
	left := make(chan time.Duration, 1)
	done := make(chan error, 1)
	go func() {
		done <- d.RunAsLeader(context.Background(), "room", func(context.Context, int64) error {
			eventually(t, func() bool { return d.IsLeader() }, "leads")
			began := time.Now()
			go func() {
				eventually(t, sees(watcher), "gone")
				left <- time.Since(began)
			}()
			return d.Deregister(context.Background())
		})
	}()
	require.Less(t, <-left, p.RevokeTimeout, "gone before the task ended")
	eventually(t, func() bool { return keyOf(t, operator, d.Self()).Count == 0 }, "the lease is given back")
	require.NoError(t, d.Shutdown(testContext(t)))
	require.ErrorIs(t, <-done, ErrNotRunning)
}

// A server does not suspect itself; otherwise it would hand its leadership to
// one that hands it back.
func TestLeader_DoesNotSuspectItself(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	all := rooms(t, endpoint, "a", "b")
	token := leads(t, "a", all...).Token
	for range 20 {
		all[0].Suspect("a")
		require.False(t, pauseIsCut(t, 10*time.Millisecond))
	}
	require.NoError(t, all[0].SyncServers(testContext(t)))
	require.Equal(t, token, leads(t, "a", all...).Token)
	require.Len(t, all[0].ServersByType("room"), 2)
}

// SetLeader does not wait for what cannot come any more.
func TestSetLeader_ChosenOneGoesOrAnotherIsChosen(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	watcher := newEtcd(t, etcdParams(nil, endpoint))
	all := rooms(t, endpoint, "a", "b", "c")
	leads(t, "a", watcher)
	release := make(chan struct{})
	var runners sync.WaitGroup
	defer runners.Wait()
	defer close(release)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	began := make(chan struct{}, 1)
	runners.Go(func() { // a does not let go
		_ = all[0].RunAsLeader(ctx, "room", func(context.Context, int64) error { began <- struct{}{}; <-release; return nil })
	})
	<-began
	chosen := make(chan error, 1)
	go func() { chosen <- watcher.SetLeader(context.Background(), "room", "b") }()
	eventually(t, func() bool { return keyCount(t, watcher, "leaders/room/wanted") == 1 }, "chosen")
	go func() { _ = watcher.SetLeader(ctx, "room", "c") }()
	select {
	case err := <-chosen:
		require.ErrorContains(t, err, "another")
	case <-time.After(patience):
		require.Fail(t, "SetLeader waits for ever")
	}
	go func() { chosen <- watcher.SetLeader(context.Background(), "room", "b") }()
	eventually(t, func() bool { l := watcher.Snapshot().leaders["room"]; return l.wanted.ID == "b" }, "chosen")
	require.NoError(t, all[1].Deregister(testContext(t)))
	select {
	case err := <-chosen:
		require.Error(t, err)
	case <-time.After(patience):
		require.Fail(t, "SetLeader waits for ever")
	}
}
