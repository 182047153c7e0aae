package router_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/router"
)

func idle(*cluster.Server) float64   { return 0 }
func everBusy(*cluster.Server) bool  { return true }
func bounded() router.Bound          { return router.Bound{Factor: 1.25, Load: idle} }
func marked(n int) []*cluster.Server { return mark(servers(n)) }

// mark gives every other server a zone and a version.
func mark(list []*cluster.Server) []*cluster.Server {
	for i, s := range list {
		if i%2 == 0 {
			s.Metadata = map[string]string{"zone": "a", "version": "2"}
		}
	}
	return list
}

// policy is one of the package's.
type policy struct {
	name string
	make func() router.Func
	even bool // its choices are in proportion to the weights
}

func policies() []policy {
	sticky := router.StickyParams{}
	return []policy{
		{"random", router.Random, true},
		{"round robin", router.RoundRobin, true},
		{"least loaded", func() router.Func { return router.LeastLoaded(idle) }, true},
		{"least loaded without load", func() router.Func { return router.LeastLoaded(nil) }, true},
		{"rendezvous", func() router.Func { return router.Rendezvous(router.Bound{}) }, true},
		{"rendezvous, bounded", func() router.Func { return router.Rendezvous(bounded()) }, true},
		{"sticky", func() router.Func { return router.Sticky(nil, sticky) }, true},
		{"version", func() router.Func { return router.ByVersion(router.VersionParams{}, nil) }, false},
		{"canary", func() router.Func {
			return router.Canary(router.CanaryParams{Metadata: "version", Value: "2", Percent: 30}, nil)
		}, false},
		{"zone", func() router.Func {
			return router.Zone(router.ZoneParams{Metadata: "zone", Zone: "a", Busy: everBusy}, nil)
		}, false},
		{"all of them", func() router.Func {
			return router.Sticky(router.ByVersion(router.VersionParams{},
				router.Canary(router.CanaryParams{Metadata: "version", Value: "2", Percent: 50},
					router.Zone(router.ZoneParams{Metadata: "zone", Zone: "a", Busy: everBusy}, router.LeastLoaded(idle)))), sticky)
		}, false},
	}
}

// each call of another player in another session.
func player(n int) router.Call {
	c := call()
	c.UID, c.Frontend, c.SessionID, c.Build = "player-"+strconv.Itoa(n), "gate-1", int64(n)+1, "2"
	return c
}

// TestPoliciesAreEven: 100,000 picks over 2, 4 and 10 servers.
func TestPoliciesAreEven(t *testing.T) {
	t.Parallel()
	for _, p := range policies() {
		for _, n := range []int{2, 4, 10} {
			if !p.even {
				continue
			}
			t.Run(fmt.Sprint(p.name, "/", n), func(t *testing.T) {
				t.Parallel()
				f, list, counts := p.make(), servers(n), map[string]int{}
				for i := range 100_000 {
					s, err := f(t.Context(), player(i), list)
					require.NoError(t, err)
					counts[s.ID]++
				}
				t.Logf("chi-squared %.2f of at most %.2f", fits(t, counts, list), quantiles[n-1])
			})
		}
	}
}

func TestPoliciesHonourWeights(t *testing.T) {
	t.Parallel()
	for _, p := range policies() {
		// Two choices are in proportion, and the better one is no more often the first
		// than the second; with loads all the same it is always the first.
		if !p.even {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f, list, counts := p.make(), weighing(50, 100, 200, 0), map[string]int{}
			for i := range 100_000 {
				s, err := f(t.Context(), player(i), list)
				require.NoError(t, err)
				counts[s.ID]++
			}
			fits(t, counts, list)
		})
	}
}

// TestPoliciesChooseOfWhatIsOffered: whatever they remember of longer lists.
func TestPoliciesChooseOfWhatIsOffered(t *testing.T) {
	t.Parallel()
	for _, p := range policies() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f, list := p.make(), marked(10)
			for left := range list {
				for i := range 20 {
					_, err := f(t.Context(), player(i), list)
					require.NoError(t, err)
					s, err := f(t.Context(), player(i), []*cluster.Server{list[left]})
					require.NoError(t, err)
					require.Same(t, list[left], s)
				}
			}
			_, err := f(t.Context(), player(1), nil)
			require.ErrorIs(t, err, errs.ErrNoServer)
		})
	}
}

// TestPoliciesSurviveAnything: whatever somebody wrote to etcd or reported.
func TestPoliciesSurviveAnything(t *testing.T) {
	t.Parallel()
	odd := func(s *cluster.Server) float64 {
		return []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, math.MaxFloat64, 0, 5}[s.Weight&7%7]
	}
	all := append(policies(),
		policy{name: "odd load", make: func() router.Func { return router.LeastLoaded(odd) }},
		policy{name: "odd bound", make: func() router.Func { return router.Rendezvous(router.Bound{Factor: 1, Load: odd}) }},
		policy{name: "endless bound", make: func() router.Func {
			return router.Rendezvous(router.Bound{Factor: math.Inf(1), Load: odd})
		}},
		policy{name: "no bound", make: func() router.Func { return router.Rendezvous(router.Bound{Factor: math.NaN(), Load: odd}) }},
		policy{name: "all canaries", make: func() router.Func { return router.Canary(router.CanaryParams{Percent: math.Inf(1)}, nil) }},
		policy{name: "no canaries", make: func() router.Func { return router.Canary(router.CanaryParams{Percent: math.NaN()}, nil) }},
		policy{name: "no zone", make: func() router.Func { return router.Zone(router.ZoneParams{}, nil) }},
	)
	lists := [][]*cluster.Server{
		weighing(math.MaxInt, math.MaxInt), weighing(math.MaxInt, math.MinInt, 1), weighing(-5, -5), weighing(1),
		{{ID: "a", Metadata: map[string]string{"": "", "version": "\x00", "zone": "\xff"}}, {ID: "a"}, {ID: ""}},
		weighing(1, 2, 3, 4, 5, 6, 7, 8, 10_000), busy(weighing(1), 0), busy(weighing(1, math.MaxInt), 1),
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f := p.make()
			for _, list := range lists {
				for i := range 100 {
					for _, c := range []router.Call{player(i), {}, {Build: "\x00", Key: "\xff", UID: string(make([]byte, 5000))}} {
						s, err := f(t.Context(), c, list)
						require.NoError(t, err)
						require.Contains(t, list, s)
					}
				}
			}
		})
	}
}

// TestPoliciesAreSafeTogether: lists change while many choose.
func TestPoliciesAreSafeTogether(t *testing.T) {
	t.Parallel()
	for _, p := range policies() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			r := router.New()
			r.SetDefault(p.make())
			var lists [][]*cluster.Server
			for n := range 100 { // more than are remembered
				lists = append(lists, marked(n%7+1))
			}
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for i := range 2000 {
						list := lists[(i/20+g)%len(lists)]
						s, err := r.Pick(t.Context(), player(i%50), list)
						if err != nil || !slices.Contains(list, s) {
							t.Error(s, err)
						}
						if i%10 == 0 {
							r.Forget("gate-1", int64(i%50)+1)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// Through a Router, as calls do: no allocation, and the same for 2 and for 5,000
// servers, except where a policy says otherwise.
func TestPoliciesDoNotAllocate(t *testing.T) {
	for _, p := range policies() {
		r := router.New()
		r.Set("room", 0, p.make())
		for _, n := range []int{2, 10, 5000} {
			for name, list := range map[string][]*cluster.Server{
				"even": marked(n), "uneven": mark(weighing(append(make([]int, n-1), 50)...)), "one is busy": busy(marked(n), 0),
			} {
				c := player(1)
				pick := func() { _, _ = r.Pick(t.Context(), c, list) }
				pick()
				require.Zero(t, testing.AllocsPerRun(100, pick), "%v %v %v", p.name, n, name)
			}
		}
	}
}

func TestDefaultsDoNotAllocate(t *testing.T) {
	r, list := router.New(), weighing(50, 100, 200, 0)
	r.BoundKeys(bounded())
	c := call()
	c.Key = "arena"
	byKey := func() { _, _ = r.PickByKey(t.Context(), c, list) }
	random := func() { _, _ = r.Pick(t.Context(), c, list) }
	require.Zero(t, testing.AllocsPerRun(100, byKey))
	require.Zero(t, testing.AllocsPerRun(100, random))
}

func BenchmarkPick(b *testing.B) {
	all := append([]policy{{name: "default", make: func() router.Func { return nil }}}, policies()...)
	for _, p := range all {
		for _, n := range []int{2, 10, 100, 1000, 5000} {
			even, uneven := marked(n), marked(n)
			uneven[0].Weight = 50
			for name, list := range map[string][]*cluster.Server{"even": even, "uneven": uneven} {
				b.Run(fmt.Sprint(p.name, "/", name, "/", n), func(b *testing.B) {
					r, c, ctx := router.New(), player(1), context.Background()
					r.Set("room", 0, p.make())
					b.ReportAllocs()
					for b.Loop() {
						_, _ = r.Pick(ctx, c, list)
					}
				})
			}
		}
	}
}
