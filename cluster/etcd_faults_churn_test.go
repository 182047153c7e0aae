package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"pgregory.net/rapid"
)

// member is a running server of TestE22.
type member struct {
	ServiceDiscovery
	id    string
	heard *recorder
	leave func(context.Context) error
	crash func() error
}

// churn is servers that join and leave, and what is true of them.
type churn struct {
	join    func(id string) (*member, error)
	members map[string]*member
	truth   []string // as a recorder would write it, without states
}

func newChurn(join func(id string) (*member, error)) *churn {
	return &churn{join: join, members: map[string]*member{}}
}

// flip has a server that is there leave, or crash, and one that is not join.
func (c *churn) flip(id string, dies bool) error {
	m := c.members[id]
	if m == nil {
		joined, err := c.join(id)
		if err != nil {
			return fmt.Errorf("%s joins: %w", id, err)
		}
		c.members[id] = joined
		c.truth = append(c.truth, "add "+id)
		return nil
	}
	delete(c.members, id)
	c.truth = append(c.truth, "remove "+id)
	if dies {
		return m.crash()
	}
	return m.leave(context.Background())
}

func (c *churn) present() []string {
	present := []string{}
	for id := range c.members {
		present = append(present, id)
	}
	slices.Sort(present)
	return present
}

// check returns what is wrong with a member's view and with what it heard.
func (c *churn) check(m *member) []string {
	present := c.present()
	if !sees(m, present...)() {
		return []string{fmt.Sprintf("%s sees %v, not %v", m.id, ids(m.Servers()), present)}
	}
	if got := ids(m.ServersByType("room")); !slices.Equal(got, present) {
		return []string{fmt.Sprintf("%s may choose of %v, not %v", m.id, got, present)}
	}
	return checkHistory(m.heard.events(), present)
}

// all is every member and the observers.
func (c *churn) all(observers ...*member) []*member {
	all := slices.Clone(observers)
	for _, m := range c.members {
		all = append(all, m)
	}
	return all
}

// memoryMember joins a registry; an empty id observes.
func memoryMember(registry *MemoryRegistry, id string) (*member, error) {
	var self *Server
	if id != "" {
		self = backend(id)
	}
	d, err := NewMemoryDiscovery(registry, self, nil)
	if err != nil {
		return nil, err
	}
	m := &member{ServiceDiscovery: d, id: id, heard: new(recorder), leave: d.Shutdown}
	m.crash = func() error {
		registry.Crash("room", id)
		return d.Shutdown(context.Background())
	}
	d.AddListener(m.heard)
	if err := d.Init(context.Background()); err != nil || id == "" {
		return m, err
	}
	return m, d.Register(context.Background())
}

// TestE22_JoinAndLeaveInRandomOrder shrinks a failure to the few steps that show it.
func TestE22_JoinAndLeaveInRandomOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		registry := NewMemoryRegistry()
		c := newChurn(func(id string) (*member, error) { return memoryMember(registry, id) })
		observer, err := memoryMember(registry, "")
		require.NoError(r, err)
		steps := rapid.SliceOfN(rapid.IntRange(0, 39), 1, 60).Draw(r, "steps")
		for _, n := range steps {
			require.NoError(r, c.flip(fmt.Sprintf("s%02d", n/2), n%2 == 0))
		}
		for _, m := range c.all(observer) {
			require.Eventually(r, func() bool { return len(c.check(m)) == 0 }, patience, patience/20000)
		}
		for _, m := range c.all(observer) {
			require.NoError(r, m.leave(context.Background()))
		}
	})
}

// TestE22_ThousandServers: each joins and leaves once, so that there is one true
// order, in which every listener must have heard of it.
func TestE22_ThousandServers(t *testing.T) {
	t.Parallel()
	const servers = 1000
	longest := servers / 10
	if longRows() {
		longest = 2 * servers
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	registry := NewMemoryRegistry()
	c := newChurn(func(id string) (*member, error) { return memoryMember(registry, id) })
	var observers []*member
	for range 3 {
		m, err := memoryMember(registry, "")
		require.NoError(t, err)
		observers = append(observers, m)
	}
	steps := randomLives(random, servers, longest)
	for _, id := range steps {
		require.NoError(t, c.flip(id, random.IntN(4) == 0))
		if random.IntN(200) == 0 {
			eventually(t, sees(observers[0], c.present()...), "complete")
		}
	}
	require.Len(t, c.members, servers/10, "some stay")
	for _, m := range c.all(observers...) {
		eventually(t, func() bool { return len(c.check(m)) == 0 }, "final view exact, history consistent")
	}
	for _, m := range observers {
		require.Empty(t, outOfOrder(m.heard.events(), c.truth))
	}
	t.Logf("%d steps, an observer heard %d events", len(steps), len(observers[0].heard.events()))
	for _, m := range c.all(observers...) {
		require.NoError(t, m.leave(context.Background()))
	}
}

// randomLives has every id once or twice, in random order: a tenth joins and
// stays, the others leave again, after at most so many steps.
func randomLives(random *rand.Rand, servers, longest int) []string {
	type step struct {
		id string
		at int
	}
	var steps []step
	for n := range servers {
		s := step{id: fmt.Sprintf("s%04d", n), at: random.IntN(2 * servers)}
		steps = append(steps, s)
		if n%10 != 0 {
			s.at += random.IntN(longest)
			steps = append(steps, s)
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	order := make([]string, len(steps))
	for n, s := range steps {
		order[n] = s.id
	}
	return order
}

// outOfOrder returns the events that did not come in the order of truth, in
// which no event is twice.
func outOfOrder(heard, truth []string) []string {
	place := map[string]int{}
	for n, event := range truth {
		place[event] = n + 1
	}
	var faults []string
	last := 0
	for _, event := range heard {
		words := strings.Fields(event)
		at := place[words[0]+" "+words[1]]
		if at <= last {
			faults = append(faults, event)
		}
		last = at
	}
	return faults
}

// TestE22_OnEtcd is the same with a real etcd, where servers come and go at once.
func TestE22_OnEtcd(t *testing.T) {
	t.Parallel()
	servers, rounds := 16, 10
	if longRows() {
		servers, rounds = 40, 30
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, shared := rawClient(t, endpoint), rawClient(t, endpoint)
	join := func(id string) (*member, error) { return etcdMember(t, shared, id) }
	observer, err := etcdMember(t, shared, "")
	require.NoError(t, err)
	lives := make([]*churn, servers) // every server has its own, so that they do not wait for each other
	for n := range lives {
		lives[n] = newChurn(join)
	}
	whole := newChurn(join)
	for range rounds {
		errs := make([]error, servers)
		var steps sync.WaitGroup
		for _, n := range random.Perm(servers)[:1+random.IntN(servers)] {
			dies := random.IntN(4) == 0
			steps.Go(func() { errs[n] = lives[n].flip(fmt.Sprintf("s%02d", n), dies) })
		}
		steps.Wait()
		whole.members = map[string]*member{}
		for n, life := range lives {
			require.NoError(t, errs[n])
			maps.Copy(whole.members, life.members)
		}
		for _, m := range whole.all(observer) {
			eventually(t, func() bool { return len(whole.check(m)) == 0 }, "view exact, history consistent")
		}
	}
	keys, err := operator.Get(testContext(t), "t/"+string(FolderServers), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	require.NoError(t, err)
	require.EqualValues(t, len(whole.members), keys.Count)
	t.Logf("an observer heard %d events", len(observer.heard.events()))
}

// etcdMember registers in etcd over a client that many use; an empty id observes.
func etcdMember(t testing.TB, shared *clientv3.Client, id string) (*member, error) {
	p := etcdParams(nil, "")
	if id != "" {
		p.Self = backend(id)
	}
	p.Client, p.Endpoints = shared, nil
	d, err := NewEtcdDiscovery(p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	m := &member{ServiceDiscovery: d, id: id, heard: new(recorder), leave: d.Shutdown}
	m.crash = func() error { crash(t, d); return nil } // its lease runs out by itself
	d.AddListener(m.heard)
	if err := d.Init(ctx); err != nil {
		return nil, err
	}
	t.Cleanup(func() { require.NoError(t, d.Shutdown(context.Background())) })
	if id == "" {
		return m, nil
	}
	return m, d.Register(ctx)
}
