package router_test

import (
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
	fits(t, counts, list)
}

// fits compares counts with the weights, and returns the sum of squares.
func fits(t *testing.T, counts map[string]int, list []*cluster.Server) float64 {
	t.Helper()
	share, total, draws, sum := map[string]float64{}, 0.0, 0, 0.0
	for _, s := range list {
		share[s.ID] = float64(s.Share())
		total += share[s.ID]
		draws += counts[s.ID]
	}
	for id := range counts {
		require.Contains(t, share, id)
	}
	for id, w := range share {
		expected := float64(draws) * w / total
		sum += math.Pow(float64(counts[id])-expected, 2) / expected
	}
	limit, ok := quantiles[len(share)-1]
	require.True(t, ok)
	require.Less(t, sum, limit, counts)
	return sum
}
