package cluster_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
)

func TestShare(t *testing.T) {
	t.Parallel()
	for weight, share := range map[int]int{
		-1: 100, 0: cluster.DefaultWeight, 1: 1, 100: 100, cluster.MaxWeight: cluster.MaxWeight, math.MaxInt: cluster.MaxWeight,
	} {
		require.Equal(t, share, (&cluster.Server{Weight: weight}).Share(), weight)
	}
}
