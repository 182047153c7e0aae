package router_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/router"
)

// TestRoundRobinTakesTurns: whichever turns in a row one looks at, as many as
// there are shares, each server has as many as its own.
func TestRoundRobinTakesTurns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ weights, turns []int }{
		{[]int{0, 0, 0}, []int{1, 1, 1}},
		{[]int{50, 100, 200}, []int{1, 2, 4}},
		{[]int{10, 10, 990}, []int{1, 1, 99}},
		{[]int{300, 700, 0, 500, 5}, []int{60, 140, 20, 100, 1}},
		{[]int{7}, []int{1}},
	} {
		f, list := router.RoundRobin(), weighing(c.weights...)
		cycle := 0
		for _, n := range c.turns {
			cycle += n
		}
		var order []string
		for range 3 * cycle {
			s, err := f(t.Context(), call(), list)
			require.NoError(t, err)
			order = append(order, s.ID)
		}
		for start := range 2 * cycle {
			counts := map[string]int{}
			for _, id := range order[start : start+cycle] {
				counts[id]++
			}
			for i, s := range list {
				require.Equal(t, c.turns[i], counts[s.ID], "%v from %d", c.weights, start)
			}
		}
		// The turns of one are spread: none waits much longer than its share says.
		for i, s := range list {
			since, longest := 0, 0
			for _, id := range order {
				if since++; id == s.ID {
					since = 0
				}
				longest = max(longest, since)
			}
			require.LessOrEqual(t, longest, 3*(cycle/c.turns[i]+1), "%v %s", c.weights, s.ID)
		}
	}
}

// TestRoundRobinStartsAnywhere: processes that start together do not all begin
// with the same server.
func TestRoundRobinStartsAnywhere(t *testing.T) {
	t.Parallel()
	list, counts := servers(4), map[string]int{}
	for range 10_000 {
		s, err := router.RoundRobin()(t.Context(), call(), list)
		require.NoError(t, err)
		counts[s.ID]++
	}
	fits(t, counts, list)
}
