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
		weights []int
		gone    []string
	}{
		"two":                {make([]int, 2), nil},
		"four":               {make([]int, 4), nil},
		"ten":                {make([]int, 10), nil},
		"two of three":       {make([]int, 3), []string{"room-01"}},
		"ten of twelve":      {make([]int, 12), []string{"room-00", "room-06"}},
		"equal":              {[]int{7, 7}, nil},
		"none is 100":        {[]int{100, 0}, nil},
		"different":          {[]int{50, 100, 200, 0}, nil},
		"different, 3 of 4":  {[]int{50, 100, 200, 0}, []string{"room-01"}},
		"the heaviest first": {[]int{10_000, 0, 1_000}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chi(t, router.New(), call(), without(weighing(c.weights...), c.gone...), 100_000)
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
		for range 100 {
			s, err := r.Pick(t.Context(), call(), list)
			require.NoError(t, err)
			require.Contains(t, list, s)
		}
	}
}
