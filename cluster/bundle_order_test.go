package cluster

import (
	"bytes"
	"strconv"
	"sync"
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

// Lone calls, bundles, and what is too large for them keep their order.
func TestBundlesKeepTheOrderOfWhatTheyFollow(t *testing.T) {
	t.Parallel()
	w := newBundleWorld(t)
	const senders, calls = 4, 2000
	next := make([]int, senders)
	newTestServer(t, w.back, backendServer("back-1"), func(in *Incoming) {
		sender := in.Request.Msg.Data[0]
		if i, err := strconv.Atoi(string(bytes.TrimRight(in.Request.Msg.Data[1:], " "))); err == nil && i == next[sender] {
			next[sender]++
		}
		echo(in)
	})
	var done sync.WaitGroup
	for sender := range senders {
		done.Go(func() {
			var pending sync.WaitGroup
			for i := range calls {
				data := strconv.AppendInt([]byte{byte(sender)}, int64(i), 10)
				if i%50 == 0 {
					data = append(data, bytes.Repeat([]byte{' '}, bundledBytes)...)
				}
				pending.Add(1)
				w.client.Go(backendServer("back-1"), userRequest("a.b", data), 0, func(*clusterpb.Response, error) { pending.Done() })
				if i%(7*(sender+1)) == 0 {
					pending.Wait()
				}
			}
			pending.Wait()
		})
	}
	done.Wait()
	require.Equal(t, []int{calls, calls, calls, calls}, next)
	require.Less(t, w.requests.Load(), int64(senders*calls))
}
