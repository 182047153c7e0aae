package cluster

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// Who sends again what reached nobody goes by the order in which it hears of it.
func TestABundleComesBackInTheOrderOfItsSending(t *testing.T) {
	t.Parallel()
	w := newBundleWorld(t)
	const n = 100
	var order, sent []string
	back := make(chan string, n)
	together(w.front, func() {
		for i := range n {
			sent = append(sent, strconv.Itoa(i))
			w.client.Go(backendServer("gone"), userRequest("a.b", number(i)), 0, func(_ *clusterpb.Response, err error) {
				require.True(t, IsUndelivered(err), "%v", err)
				back <- strconv.Itoa(i)
			})
		}
	})
	for range n {
		order = append(order, <-back)
	}
	require.Equal(t, sent, order)
}
