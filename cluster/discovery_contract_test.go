package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// peer is one server's discovery, of whatever implementation.
type peer struct {
	ServiceDiscovery
	module     lifecycle.Module
	register   func(context.Context) error
	deregister func(context.Context) error
	edit       func(context.Context, Edit) error
	self       func() *Server
	state      func() (connected, stale bool)
	crash      func(t testing.TB) // afterwards the peer is not to be used
}

// world makes peers that see each other; they end with the test.
type world func(t testing.TB, self *Server) peer

func memoryWorld(testing.TB) world {
	registry := NewMemoryRegistry()
	return func(t testing.TB, self *Server) peer {
		d, err := NewMemoryDiscovery(registry, self, testLog())
		require.NoError(t, err)
		require.NoError(t, d.Init(testContext(t)))
		t.Cleanup(func() { require.NoError(t, d.Shutdown(context.Background())) })
		return peer{
			ServiceDiscovery: d, module: d, register: d.Register, deregister: d.Deregister, edit: d.Edit, self: d.Self,
			state: func() (bool, bool) { return d.IsConnected(), d.Stale() },
			crash: func(testing.TB) { registry.Crash(self.Type, self.ID) },
		}
	}
}

func etcdWorld(t testing.TB) world {
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	return func(t testing.TB, self *Server) peer {
		p := etcdParams(self, endpoint)
		p.Prefix = fmt.Sprintf("%s/", t.Name())
		d := newEtcd(t, p)
		return peer{
			ServiceDiscovery: d, module: d, register: d.Register, deregister: d.Deregister, edit: d.Edit, self: d.Self,
			state: func() (bool, bool) { return d.IsConnected(), d.Stale() },
			crash: func(t testing.TB) { crash(t, d) },
		}
	}
}

var contract = []struct {
	name string
	run  func(t *testing.T, join world)
}{
	{"a registered server is seen by all", contractSeen},
	{"leaving is told apart from crashing", contractLeaveAndCrash},
	{"an edit updates", contractEdit},
	{"states decide who is given work", contractStates},
	{"a late listener hears of those present", contractLateListener},
	{"a panicking listener harms nobody", contractPanickingListener},
	{"two servers cannot have one id", contractOneID},
	{"one id, two types", contractOneIDTwoTypes},
	{"an observer sees and is not seen", contractObserver},
	{"deregister and register again", contractAgain},
	{"prefixes of types are not types", contractTypePrefixes},
	{"a module that does not run says so", contractNotRunning},
	{"a sync sees what was before it", contractSync},
}

func TestMemoryDiscovery_Contract(t *testing.T) {
	t.Parallel()
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, memoryWorld(t))
		})
	}
}

func TestEtcdDiscovery_Contract(t *testing.T) {
	t.Parallel()
	join := etcdWorld(t)
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) { c.run(t, join) })
	}
}

func contractSeen(t *testing.T, join world) {
	a, b := join(t, backend("a")), join(t, backend("b"))
	require.Empty(t, a.Servers())
	require.NoError(t, a.register(testContext(t)))
	require.NoError(t, b.register(testContext(t)))
	for _, p := range []peer{a, b, join(t, nil)} {
		eventually(t, sees(p, "a", "b"), "both are seen")
		got, ok := p.Server("b")
		require.True(t, ok)
		require.Equal(t, map[string]string{"stack": "blue"}, got.Metadata)
		require.Equal(t, b.self().Nonce, got.Nonce)
		require.Positive(t, got.Epoch)
		require.Equal(t, []string{"a", "b"}, ids(p.ServersByType("room")))
		require.Empty(t, p.ServersByType("roo"))
		_, ok = p.Server("c")
		require.False(t, ok)
		connected, stale := p.state()
		require.True(t, connected)
		require.False(t, stale)
	}
}

func contractLeaveAndCrash(t *testing.T, join world) {
	watcher, heard := join(t, nil), new(recorder)
	watcher.AddListener(heard)
	leaver, crasher := join(t, backend("leaver")), join(t, backend("crasher"))
	require.NoError(t, leaver.register(testContext(t)))
	eventually(t, sees(watcher, "leaver"), "joined")
	require.NoError(t, crasher.register(testContext(t)))
	eventually(t, sees(watcher, "crasher", "leaver"), "joined")

	leaver.module.BeforeShutdown(testContext(t))
	eventually(t, sees(watcher, "crasher"), "left")
	require.Equal(t, []string{"crasher"}, ids(watcher.ServersByType("room")))
	crasher.crash(t)
	eventually(t, sees(watcher), "crashed")
	require.Empty(t, watcher.ServersByType("room"))

	eventually(t, heard.hears("add leaver", "add crasher", "remove leaver left", "remove crasher suspect"), "in order")
	left, ok := watcher.Server("leaver")
	require.True(t, ok, "still answered for")
	require.Equal(t, StateLeft, left.State)
	suspect, ok := watcher.Server("crasher")
	require.True(t, ok)
	require.Equal(t, StateSuspect, suspect.State)
}

// stack is an edit of the metadata that recorders show.
func stack(name string) Edit { return Edit{Metadata: map[string]*string{"stack": &name}} }

func contractEdit(t *testing.T, join world) {
	watcher, heard := join(t, nil), new(recorder)
	watcher.AddListener(heard)
	a := join(t, backend("a"))
	require.NoError(t, a.edit(testContext(t), stack("early")), "before it is registered")
	require.NoError(t, a.register(testContext(t)))
	eventually(t, sees(watcher, "a"), "joined")
	before, _ := watcher.Server("a")

	require.NoError(t, a.edit(testContext(t), stack("green")))
	eventually(t, heard.hears("add a", "update a early>green"), "updated")
	require.NoError(t, a.edit(testContext(t), stack("green")), "the same again")
	require.NoError(t, watcher.SyncServers(testContext(t)))
	after, _ := watcher.Server("a")
	require.Equal(t, "green", after.Metadata["stack"])
	require.Equal(t, before.Epoch, after.Epoch)
	require.Equal(t, []string{"add a", "update a early>green"}, heard.events())

	weight, negative := 50, -1
	require.NoError(t, a.edit(testContext(t), Edit{Weight: &weight, Metadata: map[string]*string{"stack": nil}}))
	require.Equal(t, 50, a.self().Weight)
	require.Empty(t, a.self().Metadata, "a key without a value is deleted")
	eventually(t, func() bool { got, _ := watcher.Server("a"); return got.Weight == 50 && len(got.Metadata) == 0 }, "seen")
	for _, bad := range []Edit{{State: StateLeft}, {State: "of a later version"}, {Weight: &negative}, {IfRevision: -1}} {
		require.Error(t, a.edit(testContext(t), bad))
	}
	long := strings.Repeat("x", maxServerValue)
	require.ErrorContains(t, a.edit(testContext(t), stack(long)), "metadata")
	require.Empty(t, a.self().Metadata)
}

func contractStates(t *testing.T, join world) {
	watcher, a := join(t, nil), join(t, backend("a"))
	require.NoError(t, a.register(testContext(t)))
	for state, given := range map[State]bool{StateBusy: true, StatePaused: false, StateUp: true, StateDraining: false} {
		require.NoError(t, a.edit(testContext(t), Edit{State: state}))
		eventually(t, func() bool {
			got, ok := watcher.Server("a")
			return ok && got.State == state
		}, "said")
		require.Len(t, watcher.Servers(), 1)
		require.Equal(t, given, len(watcher.ServersByType("room")) == 1, "state %q", state)
	}
}

func contractLateListener(t *testing.T, join world) {
	a, b := join(t, backend("a")), join(t, backend("b"))
	require.NoError(t, a.register(testContext(t)))
	eventually(t, sees(b, "a"), "joined")
	heard := new(recorder)
	b.AddListener(heard)
	eventually(t, heard.hears("add a"), "told of the one present")
	require.NoError(t, b.register(testContext(t)))
	eventually(t, heard.hears("add a", "add b"), "told of the next")
}

// fragile panics at whatever it hears.
type fragile struct{}

func (fragile) AddServer(Event)    { panic("add") }
func (fragile) RemoveServer(Event) { panic("remove") }

func contractPanickingListener(t *testing.T, join world) {
	a, heard := join(t, backend("a")), new(recorder)
	a.AddListener(fragile{})
	a.AddListener(heard)
	require.NoError(t, a.register(testContext(t)))
	eventually(t, sees(a, "a"), "joined")
	require.NoError(t, a.deregister(testContext(t)))
	eventually(t, heard.hears("add a", "remove a left"), "the others hear")
}

func contractOneID(t *testing.T, join world) {
	first, second := join(t, backend("a")), join(t, backend("a"))
	require.NoError(t, first.register(testContext(t)))
	require.ErrorIs(t, second.register(testContext(t)), ErrIDTaken)
	require.NoError(t, second.deregister(testContext(t)))
	require.NoError(t, first.SyncServers(testContext(t)))
	got, ok := first.Server("a")
	require.True(t, ok)
	require.Equal(t, first.self().Nonce, got.Nonce)
	require.NoError(t, first.deregister(testContext(t)))
	require.NoError(t, second.register(testContext(t)))
}

func contractOneIDTwoTypes(t *testing.T, join world) {
	watcher := join(t, nil)
	other := backend("a")
	other.Type = "lobby"
	first, second := join(t, backend("a")), join(t, other)
	require.NoError(t, first.register(testContext(t)))
	require.NoError(t, second.register(testContext(t)))
	eventually(t, func() bool { return len(watcher.ServersByType("lobby")) == 1 }, "the younger one is the server")
	require.Empty(t, watcher.ServersByType("room"))
	require.Len(t, watcher.Servers(), 1)
	require.NoError(t, second.deregister(testContext(t)))
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 1 }, "the other one is back")
	require.Empty(t, watcher.ServersByType("lobby"))
}

func contractObserver(t *testing.T, join world) {
	observer := join(t, nil)
	require.Error(t, observer.register(testContext(t)))
	require.Nil(t, observer.self())
	require.Empty(t, observer.Servers())
	observer.module.BeforeShutdown(testContext(t))
}

func contractAgain(t *testing.T, join world) {
	watcher, heard := join(t, nil), new(recorder)
	watcher.AddListener(heard)
	a := join(t, backend("a"))
	for range 3 {
		require.NoError(t, a.register(testContext(t)))
		require.NoError(t, a.register(testContext(t)), "twice is once")
		eventually(t, sees(watcher, "a"), "joined")
		require.NoError(t, a.deregister(testContext(t)))
		require.NoError(t, a.deregister(testContext(t)), "twice is once")
		eventually(t, sees(watcher), "left")
	}
	eventually(t, heard.hears("add a", "remove a left", "add a", "remove a left", "add a", "remove a left"), "in order")
}

func contractTypePrefixes(t *testing.T, join world) {
	watcher := join(t, nil)
	for n, serverType := range []string{"game", "game2", "gam", "game.x"} {
		s := backend(fmt.Sprintf("s%d", n))
		s.Type = serverType
		require.NoError(t, join(t, s).register(testContext(t)))
	}
	eventually(t, sees(watcher, "s0", "s1", "s2", "s3"), "joined")
	require.Equal(t, []string{"s0"}, ids(watcher.ServersByType("game")))
	require.Equal(t, []string{"s1"}, ids(watcher.ServersByType("game2")))
	require.Equal(t, []string{"s2"}, ids(watcher.ServersByType("gam")))
}

func contractNotRunning(t *testing.T, join world) {
	a := join(t, backend("a"))
	require.Error(t, a.module.Init(testContext(t)), "twice")
	require.NoError(t, a.module.Shutdown(testContext(t)))
	require.NoError(t, a.module.Shutdown(testContext(t)), "twice")
	require.ErrorIs(t, a.SyncServers(testContext(t)), ErrNotRunning)
	require.ErrorIs(t, a.register(testContext(t)), ErrNotRunning)
	require.ErrorIs(t, a.edit(testContext(t), Edit{}), ErrNotRunning)
	a.module.BeforeShutdown(testContext(t))
	a.AddListener(new(recorder))
	connected, _ := a.state()
	require.False(t, connected)
}

func contractSync(t *testing.T, join world) {
	a, watcher := join(t, backend("a")), join(t, nil)
	require.NoError(t, a.register(testContext(t)))
	require.NoError(t, watcher.SyncServers(testContext(t)))
	require.Equal(t, []string{"a"}, ids(watcher.Servers()))
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for range 5 {
		if err := watcher.SyncServers(canceled); err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.NoError(t, watcher.SyncServers(testContext(t)))
}

func TestNewDiscovery_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := NewMemoryDiscovery(nil, backend("a"), nil)
	require.Error(t, err)
	_, err = NewMemoryDiscovery(NewMemoryRegistry(), backend("a/b"), nil)
	require.ErrorContains(t, err, "server id")
	_, err = NewEtcdDiscovery(EtcdParams{
		Self: &Server{ID: "a", Type: "b c"}, Username: "u", TTL: 1500, OnLoss: "perhaps", GrantTimeout: -1, GrantMaxRetries: -1,
	})
	for _, part := range []string{"server type", "endpoints", "user and pass", "ttl", "onloss", "grant timeout", "retries"} {
		require.ErrorContains(t, err, part)
	}
	d, err := NewEtcdDiscovery(EtcdParams{Self: backend("a"), Endpoints: []string{"127.0.0.1:1"}, Log: logrus.New()})
	require.NoError(t, err)
	require.NotEmpty(t, d.Self().Nonce)
	require.Equal(t, "discovery", d.Name())
	require.ErrorIs(t, d.Register(context.Background()), ErrNotRunning)
	require.ErrorIs(t, d.SyncServers(context.Background()), ErrNotRunning)
	require.True(t, d.Stale())
	require.NoError(t, d.Shutdown(context.Background()))
}
