package client

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIDsWrapPastThoseInFlight(t *testing.T) {
	t.Parallel()
	table := newCallTable()
	add := func() uint32 {
		id, err := table.add(call{deadline: math.MaxInt64})
		require.NoError(t, err)
		return id
	}
	require.EqualValues(t, 1, add())
	require.EqualValues(t, 2, add())
	table.last = math.MaxUint32 - 1
	require.Equal(t, uint32(math.MaxUint32), add())
	require.EqualValues(t, 3, add(), "0 is no id, 1 and 2 are in flight")
	_, ok := table.take(1)
	require.True(t, ok)
	_, ok = table.take(1)
	require.False(t, ok)
	_, ok = table.take(1<<32 + 2)
	require.False(t, ok, "ids have 32 bits")
	require.Len(t, table.close(), 3)
	_, err := table.add(call{})
	require.Error(t, err)
}

func TestSweepTakesOnlyTheLate(t *testing.T) {
	t.Parallel()
	table := newCallTable()
	for _, deadline := range []int64{10, 20, 30, math.MaxInt64} {
		_, err := table.add(call{deadline: deadline})
		require.NoError(t, err)
	}
	require.Len(t, table.sweep(20), 2)
	require.True(t, table.armed)
	require.Len(t, table.sweep(30), 1)
	require.False(t, table.armed)
	require.Equal(t, 1, table.inFlight())
	table.close()
}
