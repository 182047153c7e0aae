package dispatch

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFifo: whatever is reserved, pushed and popped, messages come out in the
// order they went in, and an empty fifo keeps next to nothing.
func TestFifo(t *testing.T) {
	t.Parallel()
	var q fifo
	in, out, bytes := uint64(0), uint64(0), 0
	for range 2_000 {
		n := rand.IntN(lentRoom)
		q.reserve(rand.IntN(n + 1))
		for range n {
			in++
			m := message{id: in, data: make([]byte, in%3)}
			q.push(m)
			bytes += len(m.data)
		}
		for range rand.IntN(2 * lentRoom) {
			if q.len() == 0 {
				break
			}
			out++
			require.Equal(t, out, q.first().id)
			bytes -= len(q.first().data)
			q.pop()
		}
		require.Equal(t, int(in-out), q.len())
		require.Equal(t, bytes, q.bytes)
		if q.len() == 0 {
			require.Nil(t, q.lent)
			require.LessOrEqual(t, cap(q.items), idleRoom)
		}
	}
}
