package router_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

func TestRandomHonoursWeights(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		weights  []int
		excluded []string
		draws    int
	}{
		"two":                {make([]int, 2), nil, 100_000},
		"four":               {make([]int, 4), nil, 100_000},
		"ten":                {make([]int, 10), nil, 100_000},
		"two of three":       {make([]int, 3), []string{"room-01"}, 100_000},
		"ten of twelve":      {make([]int, 12), []string{"room-00", "room-06"}, 100_000},
		"equal":              {[]int{7, 7}, nil, 100_000},
		"none is 100":        {[]int{100, 0}, nil, 100_000},
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
