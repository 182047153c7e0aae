package dispatch

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFifo: whatever is reserved, pushed, popped and removed, messages come out
// in the order they went in; an empty fifo keeps next to nothing, and rooms are
// lent empty.
func TestFifo(t *testing.T) {
	t.Parallel()
	queues, models := make([]fifo, 4), make([][]message, 4)
	last := uint64(0)
	for range 4_000 {
		i := rand.IntN(len(queues))
		q, model := &queues[i], models[i]
		n := rand.IntN(lentRoom)
		q.reserve(rand.IntN(n + 1))
		for range n {
			last++
			m := message{id: last, data: make([]byte, last%3)}
			q.push(m)
			model = append(model, m)
		}
		for range rand.IntN(2 * lentRoom) {
			if len(model) == 0 {
				break
			}
			require.Equal(t, model[0].id, q.first().id)
			at := min(rand.IntN(3), len(model)-1)
			require.Equal(t, model[at].id, q.remove(at).id)
			model = append(model[:at:at], model[at+1:]...)
		}
		models[i] = model
		requireFifo(t, model, q)
	}
	room := rooms.Get().(*[lentRoom]message)
	require.Equal(t, [lentRoom]message{}, *room)
}

func requireFifo(t *testing.T, model []message, q *fifo) {
	t.Helper()
	bytes := 0
	for n, m := range model {
		require.Equal(t, m.id, q.at(n).id)
		bytes += len(m.data)
	}
	require.Equal(t, len(model), q.len())
	require.Equal(t, bytes, q.bytes)
	if len(model) == 0 {
		require.Nil(t, q.lent)
		require.LessOrEqual(t, cap(q.items), idleRoom)
	}
	if q.lent != nil {
		require.Equal(t, lentRoom, cap(q.items), "that is where they are")
	}
}
