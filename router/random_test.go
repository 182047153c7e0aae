package router_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

// quantiles of the chi-squared distribution, by degrees of freedom: a sound
// choice exceeds them once in a million times.
var quantiles = map[int]float64{1: 23.93, 2: 27.63, 3: 30.66, 9: 45.08}

// weighing is a list of servers with these weights.
func weighing(weights ...int) []*cluster.Server {
	list := servers(len(weights))
	for i, s := range list {
		s.Weight = weights[i]
	}
	return list
}

// chi draws and compares with what the weights promise.
func chi(t *testing.T, r *router.Router, c router.Call, list []*cluster.Server, draws int) {
	t.Helper()
	counts := map[string]int{}
	for range draws {
		s, err := r.Pick(t.Context(), c, list)
		require.NoError(t, err)
		counts[s.ID]++
	}
	share, total, candidates, sum := map[string]float64{}, 0.0, 0, 0.0
	for _, s := range list {
		if c.Exclude != nil && c.Exclude(s.ID) {
			require.Zero(t, counts[s.ID], "excluded")
			continue
		}
		share[s.ID] = float64(s.Weight)
		if s.Weight == 0 {
			share[s.ID] = 100
		}
		total += share[s.ID]
		candidates++
	}
	for id, w := range share {
		expected := float64(draws) * w / total
		sum += math.Pow(float64(counts[id])-expected, 2) / expected
	}
	limit, ok := quantiles[candidates-1]
	require.True(t, ok)
	require.Less(t, sum, limit, counts)
}

func TestRandomHonoursWeights(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		weights  []int
		excluded []string
		draws    int
	}{
		"two":                {make([]int, 2), nil, 40_000},
		"four":               {make([]int, 4), nil, 40_000},
		"ten":                {make([]int, 10), nil, 40_000},
		"two of three":       {make([]int, 3), []string{"room-01"}, 40_000},
		"ten of twelve":      {make([]int, 12), []string{"room-00", "room-06"}, 40_000},
		"equal":              {[]int{7, 7}, nil, 40_000},
		"none is 100":        {[]int{100, 0}, nil, 40_000},
		"different":          {[]int{50, 100, 200, 0}, nil, 100_000},
		"different, 3 of 4":  {[]int{50, 100, 200, 0}, []string{"room-01"}, 100_000},
		"the heaviest first": {[]int{10_000, 0, 1_000}, nil, 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := call()
			if c.excluded != nil {
				asked.Exclude = excluding(c.excluded...)
			}
			chi(t, router.New(), asked, weighing(c.weights...), c.draws)
		})
	}
}

// A change of discovery is a new list, of another length or not; lists of several
// types come in turn.
func TestRandomSeesNewLists(t *testing.T) {
	t.Parallel()
	r := router.New()
	match := call()
	match.ServerType = "match"
	for _, weights := range [][]int{{50, 100}, {100, 50}, {100, 100}, {1, 2, 3, 4}, {0, 300}} {
		list := weighing(weights...)
		chi(t, r, call(), list, 20_000)
		_, err := r.Pick(t.Context(), match, weighing(0, 0, 0, 5))
		require.NoError(t, err)
		chi(t, r, call(), list, 20_000)
	}
}

// Whatever somebody wrote to etcd.
func TestRandomSurvivesAnyWeight(t *testing.T) {
	t.Parallel()
	r := router.New()
	for _, list := range [][]*cluster.Server{weighing(math.MaxInt, math.MaxInt), weighing(math.MaxInt, math.MinInt, 1), weighing(-5, -5)} {
		for _, exclude := range []func(string) bool{nil, excluding("room-00")} {
			c := call()
			c.Exclude = exclude
			for range 100 {
				s, err := r.Pick(t.Context(), c, list)
				require.NoError(t, err)
				require.Contains(t, list, s)
			}
		}
	}
}

func TestRandomDoesNotAllocate(t *testing.T) {
	r, ctx := router.New(), t.Context()
	for _, list := range [][]*cluster.Server{servers(10), weighing(50, 100, 200, 0)} {
		c := call()
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = r.Pick(ctx, c, list) }))
		c.Exclude = excluding("room-03")
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = r.Pick(ctx, c, list) }))
	}
}

func BenchmarkPick(b *testing.B) {
	r, c := router.New(), call()
	for _, n := range []int{2, 10, 100, 5000} {
		even, uneven := servers(n), servers(n)
		uneven[0].Weight = 50
		for name, list := range map[string][]*cluster.Server{"even": even, "uneven": uneven} {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = r.Pick(b.Context(), c, list)
				}
			})
		}
	}
}
