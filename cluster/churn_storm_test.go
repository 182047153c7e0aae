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
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

// storm is a cluster that everything happens to.
type storm struct {
	seed     uint64
	etcd     *embedded.Cluster
	client   *clientv3.Client // of who watches and of who does harm, directly at etcd
	proxies  []*faultproxy.Proxy
	actors   []*actor
	operator *life // an observer, directly at etcd
	ledger   *ledger
	watching sync.WaitGroup
	stop     context.CancelFunc // of the ledger

	mu      sync.Mutex // guards what follows
	acts    map[string]int
	lives   []*life
	reigns  []*rule
	revoked map[int64]bool // epochs of servers whose lease or key somebody took away
}

func newStorm(t testing.TB, seed uint64) *storm {
	t.Helper()
	s := &storm{
		seed: seed, etcd: startEtcd(t), acts: map[string]int{}, revoked: map[int64]bool{},
		ledger: &ledger{keys: map[string][]*version{}, seen: 1},
	}
	endpoint := s.etcd.EtcdEndpoints()[0]
	s.client = rawClient(t, endpoint)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.watching.Go(func() { s.ledger.watch(ctx, s.client, "t/") })
	t.Cleanup(func() { stop(); s.watching.Wait() })
	for range stormProxies {
		s.proxies = append(s.proxies, faultproxy.New(t, endpoint))
	}
	types := []string{"gate", "room", "chat", "match", "shop"}
	for n := range stormServers {
		at := endpoint
		if n%5 < 2 {
			at = s.proxies[n%stormProxies].Addr()
		}
		s.actors = append(s.actors, &actor{
			storm: s, id: fmt.Sprintf("s%02d", n), serverType: types[n/2%len(types)], endpoint: at,
			random: s.random(uint64(n) + 100),
		})
	}
	return s
}

func (s *storm) random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, stream)) }

func (s *storm) count(act string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		act += " (failed)"
	}
	s.acts[act]++
}

func (s *storm) keep(l *life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives = append(s.lives, l)
}

// gather has everybody registered.
func (s *storm) gather(t testing.TB) {
	t.Helper()
	ctx, cancel := within(context.Background())
	defer cancel()
	p := etcdParams(nil, s.etcd.EtcdEndpoints()[0])
	p.SuspectFor = time.Hour
	l, err := newLife("operator", p)
	require.NoError(t, err)
	require.NoError(t, l.begin(ctx))
	s.operator = l
	s.keep(l)
	require.NoError(t, s.everyone(func(a *actor) error { return a.settle(ctx) }))
}

func (s *storm) everyone(do func(*actor) error) error {
	var all errgroup.Group
	for _, a := range s.actors {
		all.Go(func() error { return do(a) })
	}
	return all.Wait()
}

// rage has everything happen for some time, and everything repaired that is not
// the servers' own affair.
func (s *storm) rage(t testing.TB, length time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var all errgroup.Group
	for _, a := range s.actors {
		all.Go(func() error { a.run(ctx); return nil })
	}
	for n, proxy := range s.proxies {
		all.Go(func() error { return s.flap(ctx, proxy, s.random(uint64(n)+10)) })
	}
	all.Go(func() error { return s.restartEtcd(ctx, s.random(1)) })
	all.Go(func() error { s.compact(ctx, s.random(2)); return nil })
	all.Go(func() error { s.operate(ctx, s.random(3)); return nil })
	require.NoError(t, all.Wait(), "seed %d", s.seed)
}

// calm waits until everybody is registered and all views are what etcd is.
func (s *storm) calm(t testing.TB) {
	t.Helper()
	ctx, cancel := within(context.Background())
	defer cancel()
	require.NoError(t, s.everyone(func(a *actor) error {
		began := time.Now()
		defer func() {
			if took := time.Since(began); took > slowly {
				t.Logf("%s took %v to be registered again", a.id, took)
			}
		}()
		return a.settle(ctx)
	}), "seed %d", s.seed)
	deadline, why, last := time.Now().Add(2*patience), "nobody looked", ""
	for why != "" && time.Now().Before(deadline) {
		pause(ctx, 50*time.Millisecond)
		why = s.unequal(ctx)
		if took := 2*patience - time.Until(deadline); took > slowly && why != "" && why != last {
			last = why
			t.Logf("after %v: %s", took.Round(time.Millisecond), why)
		}
	}
	assert.Empty(t, why, "CEREUSTEST_SEED=%d; what follows may say more", s.seed)
}

// unequal says which view is not what etcd is.
func (s *storm) unequal(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := s.client.Get(ctx, "t/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err.Error()
	}
	revision := resp.Header.Revision
	if seen := s.ledger.revision(); seen != revision {
		return fmt.Sprintf("the ledger is at %d, etcd at %d", seen, revision)
	}
	for _, a := range s.actors {
		if !a.life.d.Registered() {
			return a.id + " is not registered"
		}
		if l, _ := a.life.d.Leader(a.serverType); a.life.d.IsLeader() != (l.ID == a.id) {
			return fmt.Sprintf("%s is of two minds whether it leads: %+v", a.id, l)
		}
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for _, a := range s.actors {
		if v := s.ledger.at(serverKey(a.serverType, a.id), revision); !v.here() || words(v.server) != words(a.life.d.Self()) {
			return fmt.Sprintf("%s says %s, in etcd is %v", a.id, words(a.life.d.Self()), v)
		}
	}
	for _, l := range s.living() {
		snapshot := l.d.Snapshot()
		if snapshot.Revision() != revision {
			return fmt.Sprintf("%s is at %d, etcd at %d", l.name, snapshot.Revision(), revision)
		}
		if l.heardSeq.Load() != snapshot.Seq() {
			return l.name + "'s listener has more to hear"
		}
		if why := cmp.Or(differs(s.ledger, snapshot), misled(snapshot)); why != "" {
			return l.name + ": " + why
		}
	}
	return ""
}

// misled says which type has not the leader that it should have: the one set by
// hand, or who is there for longest.
func misled(s *Snapshot) string {
	for _, serverType := range s.Types() {
		heir := s.heir(serverType)
		if l, _ := s.Leader(serverType); heir != nil && l.ID != heir.ID {
			return fmt.Sprintf("%q leads type %s, not %q", l.ID, serverType, heir.ID)
		}
	}
	return ""
}

func (s *storm) living() []*life {
	all := []*life{s.operator}
	for _, a := range s.actors {
		all = append(all, a.life)
	}
	return all
}

// part ends everybody and has the ledger complete.
func (s *storm) part(t testing.TB) {
	t.Helper()
	ctx, cancel := within(context.Background())
	defer cancel()
	require.NoError(t, s.everyone(func(a *actor) error { return a.leave(ctx) }))
	require.NoError(t, s.operator.close(ctx))
	resp, err := s.client.Get(ctx, "t/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	require.NoError(t, err)
	eventually(t, func() bool { return s.ledger.revision() >= resp.Header.Revision }, "the ledger is complete")
	s.stop()
	s.watching.Wait()
}

func (s *storm) check(random *rand.Rand) []string {
	var faults []string
	if gap := s.ledger.gap(); gap != 0 {
		faults = append(faults, fmt.Sprintf("the ledger itself misses revision %d", gap))
	}
	for _, l := range s.lives {
		if len(faults) > 6 {
			return append(faults, "and so on")
		}
		faults = append(faults, l.check(s.ledger, random)...)
	}
	return append(faults, s.checkRules()...)
}

func (s *storm) summarize(t testing.TB) {
	t.Helper()
	counts, kinds := map[string]int{}, map[string]int{}
	snapshots, events, skips := 0, 0, 0
	for _, l := range s.lives {
		snapshots, events = snapshots+len(l.moments), events+len(l.events)
		for name, n := range l.counts {
			counts[name] += n
		}
		for _, e := range l.events {
			kinds[fmt.Sprintf("%s %s", e.Kind, e.Reason)]++
		}
		for n := 1; n < len(l.moments); n++ {
			if m := l.moments[n]; m.revision > l.moments[n-1].revision+1 && !m.listed {
				skips++
			}
		}
		counts["leaps"] += len(l.d.view.history.leaps)
	}
	t.Logf("acts: %s", tally(s.acts))
	t.Logf("etcd: %d revisions, %d writes and deletions", s.ledger.seen, len(s.ledger.all))
	t.Logf("lives: %d, with %d snapshots, of them %d over several revisions of a watch; %s", len(s.lives), snapshots, skips, tally(counts))
	t.Logf("events told: %d: %s", events, tally(kinds))
	t.Logf("terms of leaders with a task: %d, the longest overlap %v", len(s.reigns), s.overlap())
}

// tally is counts in one line.
func tally(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}
