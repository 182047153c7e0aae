package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

func put(t testing.TB, c *clientv3.Client, s *Server) {
	t.Helper()
	value, err := json.Marshal(s)
	require.NoError(t, err)
	_, err = c.Put(testContext(t), "t/"+serverKey(s.Type, s.ID), string(value))
	require.NoError(t, err)
}

func remove(t testing.TB, c *clientv3.Client, key string, opts ...clientv3.OpOption) {
	t.Helper()
	_, err := c.Delete(testContext(t), key, opts...)
	require.NoError(t, err)
}

// keyOf is a server's key and value as etcd has them; nil when it has none.
func keyOf(t testing.TB, c *clientv3.Client, s *Server) *clientv3.GetResponse {
	t.Helper()
	resp, err := c.Get(testContext(t), "t/"+serverKey(s.Type, s.ID))
	require.NoError(t, err)
	return resp
}

// compact makes etcd forget its history up to now.
func compact(t testing.TB, c *clientv3.Client) {
	t.Helper()
	resp, err := c.Get(testContext(t), "t/")
	require.NoError(t, err)
	_, err = c.Compact(testContext(t), resp.Header.Revision, clientv3.WithCompactPhysical())
	require.NoError(t, err)
}

// away makes etcd unreachable through the proxy.
func away(t testing.TB, proxy *faultproxy.Proxy) {
	t.Helper()
	require.NoError(t, proxy.Refuse())
	proxy.Cut(faultproxy.RST)
}

func TestE01_WatchCutAndCompacted(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy, operator := faultproxy.New(t, endpoint), rawClient(t, endpoint)
	put(t, operator, backend("dies"))
	put(t, operator, backend("stays"))
	count, heard := new(counters), new(recorder)
	p := etcdParams(nil, proxy.Addr())
	p.Metrics = count
	d := newEtcd(t, p)
	d.AddListener(heard)
	eventually(t, heard.hears("add dies", "add stays"), "listed")

	away(t, proxy)
	eventually(t, func() bool { return d.Stale() && !d.IsConnected() }, "marked stale")
	require.Equal(t, []string{"dies", "stays"}, ids(d.ServersByType("room")), "the last view stays")
	remove(t, operator, "t/servers/room/dies")
	put(t, operator, backend("new"))
	for n := range 10 {
		s := backend("stays")
		s.Metadata = map[string]string{"stack": fmt.Sprint(n)}
		put(t, operator, s)
	}
	compact(t, operator)
	require.NoError(t, proxy.Accept())

	eventually(t, sees(d, "new", "stays"), "the difference is applied")
	eventually(t, heard.hears("add dies", "add stays", "remove dies suspect", "add new", "update stays blue>9"), "net changes, in order")
	eventually(t, func() bool { return !d.Stale() && d.IsConnected() }, "not stale")
	require.Positive(t, count.of("relisted"))
	put(t, operator, backend("later"))
	eventually(t, sees(d, "later", "new", "stays"), "the watch goes on")
}

// A listing that etcd answered before it went says nothing of the time after.
func TestE01_ListedJustBeforeEtcdWent(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy := faultproxy.New(t, endpoint)
	put(t, rawClient(t, endpoint), backend("a"))
	var slow atomic.Bool
	listed, goOn := make(chan struct{}), make(chan struct{})
	p := etcdParams(nil, proxy.Addr())
	p.Filter = func(*Server) bool {
		if slow.CompareAndSwap(true, false) {
			close(listed)
			<-goOn
		}
		return true
	}
	d := newEtcd(t, p)
	slow.Store(true)
	synced := make(chan error, 1)
	go func() { synced <- d.SyncServers(testContext(t)) }()
	<-listed
	away(t, proxy)
	eventually(t, func() bool { return d.Stale() && !d.IsConnected() }, "marked stale")
	close(goOn)
	require.NoError(t, <-synced)
	require.True(t, d.Stale(), "it is away all the same")
	require.NoError(t, proxy.Accept())
	eventually(t, func() bool { return !d.Stale() && d.IsConnected() }, "not stale")
}

// promised is within what a server is to know of etcd's return, or of a change
// that it could not hear of, and to have done something about it.
const promised = time.Second

// keepsPromise has the median of five measurements be within the promise, of
// which it makes as many as decide that: a machine that stands still does not do
// so every time, and a broken promise is broken every time.
func keepsPromise(t testing.TB, what string, measure func(round int) time.Duration) {
	t.Helper()
	kept, broken := 0, 0
	for round := 0; kept < 3 && broken < 3; round++ {
		took := measure(round)
		t.Logf("%s after %v", what, took)
		if took < promised {
			kept++
		} else {
			broken++
		}
	}
	require.Equal(t, 3, kept, "rounds within %v: %s", promised, what)
}

func TestE02_EtcdComesBackEmpty(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	operator := rawClient(t, etcd.EtcdEndpoints()[0])
	d := newEtcd(t, etcdParams(backend("self"), etcd.EtcdEndpoints()[0]))
	register(t, d)
	keepsPromise(t, "registered again, and the watch is not deaf,", func(int) time.Duration {
		for range 50 { // a revision that the new etcd takes long to reach
			put(t, operator, backend("other"))
		}
		eventually(t, sees(d, "other", "self"), "as it was")
		require.NoError(t, etcd.RestartEtcdEmpty(testContext(t)))
		back := lasts(t, sees(d, "self"), "relisted, and its own key is put again")
		put(t, operator, backend("other"))
		return max(back, lasts(t, sees(d, "other", "self"), "the watch is not deaf"))
	})
	require.False(t, d.Stale())
}

// lasts waits for a condition and is how long that took.
func lasts(t testing.TB, condition func() bool, what string) time.Duration {
	t.Helper()
	start := time.Now()
	require.Eventually(t, condition, patience, time.Millisecond, what)
	return time.Since(start)
}

func TestE03_OwnKeyDeleted(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, count := rawClient(t, endpoint), new(counters)
	p := etcdParams(backend("self"), endpoint)
	p.TTL = time.Minute
	p.Metrics = count
	d := newEtcd(t, p)
	register(t, d)
	lease := keyOf(t, operator, d.Self()).Kvs[0].Lease
	for range 3 {
		remove(t, operator, "t/servers/room/self")
		eventually(t, func() bool { return keyOf(t, operator, d.Self()).Count == 1 }, "put again")
		require.Equal(t, lease, keyOf(t, operator, d.Self()).Kvs[0].Lease, "under the same lease")
	}
	require.Zero(t, count.of("lost"))
	require.True(t, d.Registered())
}

func TestE03_PausedServerStaysAway(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	d := newEtcd(t, etcdParams(backend("self"), endpoint))
	register(t, d)
	require.NoError(t, d.Edit(testContext(t), Edit{State: StatePaused}))
	remove(t, operator, "t/servers/room/self")
	eventually(t, func() bool { return !d.Registered() }, "noticed")
	require.NoError(t, d.SyncServers(testContext(t)))
	require.Zero(t, keyOf(t, operator, d.Self()).Count)
	d.Resume()
	eventually(t, func() bool { return keyOf(t, operator, d.Self()).Count == 1 }, "registered again")
}

func TestE04_EtcdAwayForSeveralTTLs(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	proxy, operator := faultproxy.New(t, endpoint), rawClient(t, endpoint)
	died := make(chan error, 1)
	p := etcdParams(nil, proxy.Addr())
	p.TTL, p.OnLoss, p.Die = time.Second, PolicyFence, func(err error) { died <- err }
	p.GrantTimeout = 300 * time.Millisecond // so that many attempts fail
	var all []*EtcdDiscovery
	for _, id := range []string{"a", "b", "c"} {
		p.Self = backend(id)
		all = append(all, newEtcd(t, p))
	}
	for _, d := range all {
		register(t, d)
	}
	put(t, operator, backend("other"))
	d := all[0]
	keepsPromise(t, "registered again, most of them,", func(round int) time.Duration {
		for _, d := range all {
			eventually(t, func() bool { return d.Registered() && sees(d, "a", "b", "c", "other")() }, "complete")
		}
		loseEtcd(t, proxy, operator, all)
		if round == 0 {
			require.False(t, pauseIsCut(t, 3*p.TTL))
			require.Equal(t, []string{"a", "b", "c", "other"}, ids(d.Servers()), "the last view stays")
			require.Error(t, syncWithin(d, 200*time.Millisecond))
		}
		require.NoError(t, proxy.Accept())
		return lasts(t, func() bool { return keysOfRooms(t, operator) > int64(len(all))/2+1 }, "back")
	})
	eventually(t, func() bool { return !d.Stale() && d.Registered() && !d.Fenced() }, "all is well")
	require.Empty(t, died)
}

// loseEtcd has etcd away until no server is registered any more, and knows it.
func loseEtcd(t testing.TB, proxy *faultproxy.Proxy, operator *clientv3.Client, all []*EtcdDiscovery) {
	t.Helper()
	away(t, proxy)
	eventually(t, func() bool { return keysOfRooms(t, operator) == 1 }, "the leases ran out")
	for _, d := range all {
		eventually(t, func() bool { return d.Stale() && !d.Registered() && d.Fenced() }, "noticed here, too")
	}
}

// keysOfRooms is how many servers of type room etcd has.
func keysOfRooms(t testing.TB, c *clientv3.Client) int64 {
	t.Helper()
	resp, err := c.Get(testContext(t), "t/servers/room/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	require.NoError(t, err)
	return resp.Count
}

// pauseIsCut waits and reports whether the test's time ended first.
func pauseIsCut(t testing.TB, d time.Duration) bool { return !pause(testContext(t), d) }

func syncWithin(d *EtcdDiscovery, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return d.SyncServers(ctx)
}

func TestE04_DiesWhenConfiguredSo(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	died := make(chan error, 1)
	p := etcdParams(backend("self"), proxy.Addr())
	p.TTL, p.OnLoss, p.GrantMaxRetries, p.GrantRetryInterval = time.Second, PolicyExit, 2, 20*time.Millisecond
	p.RevokeTimeout, p.GrantTimeout = 200*time.Millisecond, 200*time.Millisecond
	p.Die = func(err error) { died <- err }
	d := newEtcd(t, p)
	register(t, d)
	away(t, proxy)
	select {
	case err := <-died:
		require.ErrorContains(t, err, "self")
		require.ErrorContains(t, err, "3 attempts")
	case <-time.After(patience):
		require.Fail(t, "it did not die")
	}
	require.False(t, d.Registered())
}

func TestE06_OtherValueOfAKnownServer(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, heard := rawClient(t, endpoint), new(recorder)
	d := newEtcd(t, etcdParams(nil, endpoint))
	d.AddListener(heard)
	put(t, operator, backend("a"))
	green := backend("a")
	green.Metadata = map[string]string{"stack": "green"}
	put(t, operator, green)
	put(t, operator, green)
	require.NoError(t, d.SyncServers(testContext(t)))
	put(t, operator, backend("b"))
	eventually(t, func() bool { return len(heard.events()) > 0 && heard.events()[len(heard.events())-1] == "add b" }, "all is heard")
	events := heard.events()
	if len(events) == 2 { // both puts came in one response: the net change is one
		require.Equal(t, []string{"add a", "add b"}, events)
	} else {
		require.Equal(t, []string{"add a", "update a blue>green", "add b"}, events)
	}
	got, _ := d.Server("a")
	require.Equal(t, "green", got.Metadata["stack"])
}

func TestE07_BadValues(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, count := rawClient(t, endpoint), new(counters)
	bad, good := 0, []string{}
	raw := func(key, value string) {
		_, err := operator.Put(testContext(t), "t/servers/"+key, value)
		require.NoError(t, err)
	}
	write := func(folder string) {
		for n, c := range oddValues {
			id := fmt.Sprintf("%s%02d", folder, n)
			raw("min/"+id, strings.ReplaceAll(c.value, `"m1"`, `"`+id+`"`))
			if c.server == nil {
				bad++
				continue
			}
			good = append(good, id)
		}
		raw("min/x/"+folder, `{"id":"x","type":"min"}`)
		raw("min", `{"id":"x","type":"min"}`)
		bad += 2
	}
	write("a") // found by listing
	p := etcdParams(nil, endpoint)
	p.Metrics = count
	d := newEtcd(t, p)
	require.Equal(t, good, ids(d.Servers()))
	require.Equal(t, bad, count.of("skipped"))
	require.NoError(t, d.SyncServers(testContext(t)))
	require.Equal(t, bad, count.of("skipped"), "each is told of once")
	write("b") // found by watching
	eventually(t, sees(d, good...), "the rest loads")

	raw("min/a00", "null") // what was a server is none any more
	eventually(t, sees(d, good[1:]...), "gone")
	require.NoError(t, d.SyncServers(testContext(t)))
	require.Equal(t, good[1:], ids(d.Servers()), "listing and watching agree")
}

func TestE08_WholePrefixDeleted(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, heard := rawClient(t, endpoint), new(recorder)
	a, b := newEtcd(t, etcdParams(backend("a"), endpoint)), newEtcd(t, etcdParams(backend("b"), endpoint))
	register(t, a)
	register(t, b)
	put(t, operator, backend("silent")) // does not put itself again
	eventually(t, sees(a, "a", "b", "silent"), "complete")
	a.AddListener(heard)
	eventually(t, heard.hears("add a", "add b", "add silent"), "told of those present")
	remove(t, operator, "t/", clientv3.WithPrefix())
	eventually(t, func() bool { return len(heard.events()) == 8 && sees(a, "a", "b")() }, "they are back")
	for _, id := range []string{"a", "b"} {
		require.Less(t, index(heard.events(), "remove "+id+" suspect"), index(heard.events()[3:], "add "+id)+3, "leave, then join")
	}
	require.Contains(t, heard.events(), "remove silent suspect")
}

func index(list []string, s string) int {
	for n, item := range list {
		if item == s {
			return n
		}
	}
	return -1
}

func TestE09_ChangeBetweenListAndWatch(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	put(t, operator, backend("a"))
	p := etcdParams(nil, endpoint).withDefaults()
	store, first, err := boot(testContext(t), p)
	require.NoError(t, err)
	remove(t, operator, "t/servers/room/a")
	put(t, operator, backend("b"))

	d, err := NewEtcdDiscovery(p)
	require.NoError(t, err)
	d.begin(store, first)
	defer func() { require.NoError(t, d.Shutdown(testContext(t))) }()
	eventually(t, sees(d, "b"), "nothing is missed")
}

func TestE11_WrongPassword(t *testing.T) {
	t.Parallel()
	endpoint := startGuardedEtcd(t, time.Minute)
	operator := rawClient(t, endpoint)
	_, err := operator.UserAdd(testContext(t), "root", "right")
	require.NoError(t, err)
	_, err = operator.UserGrantRole(testContext(t), "root", "root")
	require.NoError(t, err)
	_, err = operator.AuthEnable(testContext(t))
	require.NoError(t, err)

	p := etcdParams(backend("self"), endpoint)
	p.DialTimeout, p.BootTimeout, p.TTL = patience, 3*patience, patience
	for _, c := range []struct{ user, password string }{{"root", "wrong"}, {"nobody", "wrong"}, {"", ""}} {
		p.Username, p.Password = c.user, c.password
		d, err := NewEtcdDiscovery(p)
		require.NoError(t, err)
		start := time.Now()
		err = d.Init(testContext(t))
		require.ErrorContains(t, err, "check user and password", c.user)
		require.ErrorContains(t, err, endpoint)
		require.Less(t, time.Since(start), p.BootTimeout, "it does not keep on trying")
	}
	p.Username, p.Password = "root", "right"
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(d, "self"), "registered")
}

func TestE12_PrefixesOfPrefixes(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	var all []*EtcdDiscovery
	for _, prefix := range []string{"t", "t/", "t/s", "t/servers/"} {
		p := etcdParams(backend("of-"+strings.ReplaceAll(prefix, "/", ".")), endpoint)
		p.Prefix = prefix
		d := newEtcd(t, p)
		register(t, d)
		all = append(all, d)
	}
	for _, d := range all {
		require.NoError(t, d.SyncServers(testContext(t)))
		require.Equal(t, []string{d.Self().ID}, ids(d.Servers()))
	}
}

func TestE12_Blacklist(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	for _, serverType := range []string{"room", "roo", "room2"} {
		s := backend("in-" + serverType)
		s.Type = serverType
		put(t, operator, s)
	}
	p := etcdParams(backend("self"), endpoint)
	p.TypesBlacklist = []string{"room"}
	d := newEtcd(t, p)
	register(t, d)
	put(t, operator, backend("later"))
	eventually(t, sees(d, "in-roo", "in-room2", "self"), "only its own key of the type")
	require.NoError(t, d.SyncServers(testContext(t)))
	require.Equal(t, []string{"self"}, ids(d.ServersByType("room")))
}

func TestE14_IDOfALiveServer(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	spawn(t, childParams{ID: "self", Endpoint: endpoint, TTL: 5 * time.Second})
	before := keyOf(t, operator, backend("self"))
	second := newEtcd(t, etcdParams(backend("self"), endpoint))
	err := second.Register(testContext(t))
	require.ErrorIs(t, err, ErrIDTaken)
	require.ErrorContains(t, err, "servers/room/self")
	require.NoError(t, second.Shutdown(testContext(t)))
	require.Equal(t, before.Kvs[0], keyOf(t, operator, backend("self")).Kvs[0], "untouched")
}

func TestE14_RestartAfterACrash(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	heard := new(recorder)
	watcher := newEtcd(t, etcdParams(nil, endpoint))
	watcher.AddListener(heard)
	self := childParams{ID: "self", Endpoint: endpoint, TTL: 5 * time.Second}
	first := spawn(t, self)
	require.NotContains(t, first.said, "another live process")
	eventually(t, sees(watcher, "self"), "registered")
	old, _ := watcher.Server("self")
	first.kill(t)
	second := spawn(t, self) // waits out the rest of the lease
	require.Contains(t, second.said, "previous or another live process", "and says so")
	eventually(t, heard.hears("add self", "remove self suspect", "add self"), "leave, then join")
	restarted, _ := watcher.Server("self")
	require.NotEqual(t, old.Nonce, restarted.Nonce)
	require.Greater(t, restarted.Epoch, old.Epoch)
}

func TestE14_StoppedWhileItWaits(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	p := etcdParams(backend("self"), endpoint)
	p.TTL = time.Minute // the wait does not end by itself
	first := newEtcd(t, p)
	register(t, first)
	crash(t, first)
	log, logged := logtest.NewNullLogger()
	p.Self, p.Log = backend("self"), log
	second := newEtcd(t, p)
	logs := func(part string) func() bool {
		return func() bool {
			return slices.ContainsFunc(logged.AllEntries(), func(e *logrus.Entry) bool { return strings.Contains(e.Message, part) })
		}
	}
	ctx, stop := context.WithCancel(testContext(t))
	registered := make(chan error, 1)
	go func() { registered <- second.Register(ctx) }()
	eventually(t, logs("previous or another live process"), "it waits")
	stop()
	require.ErrorIs(t, <-registered, context.Canceled)
	require.NoError(t, second.Shutdown(testContext(t)))
	require.False(t, logs("could not register this server")(), "nobody tries again")
}

func TestE14_KeyOfAPitayaServer(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	put(t, operator, backend("self")) // without a nonce and without a lease
	died := make(chan error, 1)
	p := etcdParams(backend("self"), endpoint)
	p.Die = func(err error) { died <- err }
	d := newEtcd(t, p)
	require.ErrorIs(t, d.Register(testContext(t)), ErrIDTaken)
	remove(t, operator, "t/servers/room/self")
	register(t, d)
	put(t, operator, backend("self")) // takes the key from under us
	select {
	case err := <-died:
		require.ErrorIs(t, err, ErrIDTaken)
	case <-time.After(patience):
		require.Fail(t, "it did not die")
	}
	require.NoError(t, d.Deregister(testContext(t)))
	require.NoError(t, d.Shutdown(testContext(t)))
	got := new(Server)
	require.NoError(t, json.Unmarshal(keyOf(t, operator, backend("self")).Kvs[0].Value, got))
	require.False(t, got.Cereus(), "neither overwritten nor deleted")
}

func TestE14_RegisterCanBeGivenUp(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	lease, err := operator.Grant(testContext(t), 600)
	require.NoError(t, err)
	_, err = operator.Put(testContext(t), "t/servers/room/self", `{"id":"self","type":"room"}`, clientv3.WithLease(lease.ID))
	require.NoError(t, err)
	d := newEtcd(t, etcdParams(backend("self"), endpoint))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, d.Register(ctx), context.DeadlineExceeded)

	require.False(t, d.link.Load().own.wanted.Load(), "nothing goes on behind the caller's back")
	waiting := make(chan error, 1)
	done := make(chan struct{})
	go func() { defer close(done); waiting <- d.Register(testContext(t)) }()
	eventually(t, func() bool { return d.link.Load().own.wanted.Load() }, "at it")
	require.NoError(t, d.Deregister(testContext(t)))
	<-done
	require.ErrorContains(t, <-waiting, "deregistered")
	require.EqualValues(t, lease.ID, keyOf(t, operator, d.Self()).Kvs[0].Lease)
}

func TestE18_EtcdDownAtBoot(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := l.Addr().String()
	require.NoError(t, l.Close())
	p := etcdParams(backend("self"), closed)
	p.Endpoints = append(p.Endpoints, "127.0.0.1:1")
	p.BootTimeout = 300 * time.Millisecond
	d, err := NewEtcdDiscovery(p)
	require.NoError(t, err)
	start := time.Now()
	err = d.Init(testContext(t))
	require.ErrorContains(t, err, closed)
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.Less(t, time.Since(start), patience)
	require.ErrorIs(t, d.Register(testContext(t)), ErrNotRunning)
	require.NoError(t, d.Shutdown(testContext(t)))
}

func TestE18_EtcdComesDuringBoot(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	away(t, proxy)
	stop := time.AfterFunc(500*time.Millisecond, func() { _ = proxy.Accept() })
	defer stop.Stop()
	register(t, newEtcd(t, etcdParams(backend("self"), proxy.Addr())))
}

func TestE23_GoneBeforeCallsAreRefused(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	var watchers []*EtcdDiscovery
	for range 3 {
		watchers = append(watchers, newEtcd(t, etcdParams(nil, endpoint)))
	}
	p := etcdParams(backend("self"), endpoint)
	p.ShutdownDelay = time.Second // a machine that stands still for a while must not be taken for slow views
	d := newEtcd(t, p)
	register(t, d)
	for _, w := range watchers {
		eventually(t, sees(w, "self"), "registered")
	}
	start, done := time.Now(), make(chan time.Duration)
	go func() { d.BeforeShutdown(testContext(t)); done <- time.Since(start) }()
	for _, w := range watchers {
		require.Eventually(t, sees(w), patience, time.Millisecond)
		require.Empty(t, w.ServersByType("room"))
	}
	gone := time.Since(start)
	took := <-done
	t.Logf("gone from every view after %v, calls are refused after %v at the earliest", gone, took)
	require.Less(t, gone, took, "before the first call is refused")
	require.GreaterOrEqual(t, took, p.ShutdownDelay)
	require.Zero(t, keyOf(t, operator, d.Self()).Count)
	leases, err := operator.Leases(testContext(t))
	require.NoError(t, err)
	require.Empty(t, leases.Leases)
	require.NoError(t, d.Shutdown(testContext(t)))
}

func TestE23_LeavingAnEtcdThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	p := etcdParams(backend("self"), proxy.Addr())
	p.RevokeTimeout = 200 * time.Millisecond
	d := newEtcd(t, p)
	register(t, d)
	proxy.Pause(faultproxy.All)
	start := time.Now()
	d.BeforeShutdown(testContext(t))
	require.NoError(t, d.Shutdown(testContext(t)))
	require.Less(t, time.Since(start), 10*time.Second, "not the lease's nor gRPC's time")
	proxy.Resume()
}

func TestEtcdDiscovery_ClientFromOutside(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	shared := rawClient(t, endpoint)
	p := etcdParams(backend("self"), "")
	p.Client, p.Endpoints = shared, nil
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(d, "self"), "registered")
	require.NoError(t, d.Shutdown(testContext(t)))
	require.Zero(t, keyOf(t, shared, d.Self()).Count, "the client is still open")
}

func TestEtcdDiscovery_SuspectsAreForgotten(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	p := etcdParams(nil, endpoint)
	p.SuspectFor = 50 * time.Millisecond
	d := newEtcd(t, p)
	put(t, operator, backend("a"))
	eventually(t, sees(d, "a"), "joined")
	remove(t, operator, "t/servers/room/a")
	eventually(t, func() bool { _, ok := d.Server("a"); return !ok }, "forgotten")
}

func TestEtcdDiscovery_ListsInPages(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	want := []string{}
	for n := range 2*firstPage + 1 {
		s := backend(fmt.Sprintf("s%04d", n))
		put(t, operator, s)
		want = append(want, s.ID)
	}
	d := newEtcd(t, etcdParams(nil, endpoint))
	require.Equal(t, want, ids(d.Servers()))
	remove(t, operator, "t/", clientv3.WithPrefix())
	eventually(t, sees(d), "all gone")
}

func TestEtcdDiscovery_Filter(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator := rawClient(t, endpoint)
	coloured := func(id, stack string) *Server {
		s := backend(id)
		s.Metadata = map[string]string{"stack": stack}
		return s
	}
	put(t, operator, coloured("blue-1", "blue"))
	put(t, operator, coloured("green-1", "green"))
	put(t, operator, coloured("odd", "odd"))
	p := etcdParams(coloured("self", "blue"), endpoint)
	p.Filter = func(s *Server) bool {
		if s.ID == "odd" {
			panic("odd")
		}
		return s.Metadata["stack"] == "green"
	}
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, sees(d, "green-1", "odd", "self"), "listed")
	put(t, operator, coloured("green-2", "green"))
	put(t, operator, coloured("blue-2", "blue"))
	put(t, operator, coloured("blue-1", "green"))
	put(t, operator, coloured("green-1", "blue"))
	eventually(t, sees(d, "blue-1", "green-2", "odd", "self"), "watched")
	require.NoError(t, d.SyncServers(testContext(t)))
	require.Equal(t, []string{"blue-1", "green-2", "odd", "self"}, ids(d.Servers()))
}
