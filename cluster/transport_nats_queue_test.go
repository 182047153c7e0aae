package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The writer lets others send as well, but does not wait until they are done:
// who sends more than the queue holds would find it full.
func TestGatherEndsWhileOthersGoOnSending(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ size, most int }{
		"many":  {0, natsGathered},
		"large": {1 << 10, natsOutLimit >> 10},
	} {
		q := &natsQueue{wake: make(chan struct{}, 1)}
		q.gather(func() {
			require.NoError(t, q.push(outgoing{body: &buffer{b: make([]byte, test.size)}}), name)
		})
		require.Len(t, q.items, test.most, name)
	}
	q := &natsQueue{wake: make(chan struct{}, 1)}
	yields := 0
	q.gather(func() {
		if yields++; yields <= 5 {
			require.NoError(t, q.push(outgoing{body: new(buffer)}))
		}
	})
	require.Equal(t, 8, yields, "three without a message")
}
