package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A call may be added after the sweeper has passed its deadline, when the
// caller was interrupted on the way. It expires at the next tick, not a round
// of the wheel later.
func TestCallAddedBehindTheSweeperExpires(t *testing.T) {
	t.Parallel()
	shard := &newPendingCalls(nil).shards[0]
	require.Empty(t, shard.expire(1, 100, nil))
	_, ok := shard.add(pendingCall{}, 50, 0)
	require.True(t, ok)
	require.Len(t, shard.expire(101, 101, nil), 1)
}
