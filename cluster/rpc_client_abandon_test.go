package cluster

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// N16: calls of one run of a server are given up; those of others wait on.
func TestN16_Abandon(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		var received atomic.Int64
		hold := func(in *Incoming) {
			t.Cleanup(in.Discard)
			received.Add(1)
		}
		back := join(t, "back")
		dead, other := backendServer("back-1"), backendServer("back-2")
		newTestServer(t, back, dead, hold)
		newTestServer(t, back, other, hold)
		client := newTestClient(t, join(t, "front"), rpcPatience)
		outcomes := make(chan error, 3)
		done := func(_ *clusterpb.Response, err error) { outcomes <- err }
		client.Go(dead, userRequest("a.b", nil), 0, done)
		client.Go(dead, userRequest("a.b", nil), 0, done)
		client.Go(other, userRequest("a.b", nil), 0, done)
		require.Eventually(t, func() bool { return received.Load() == 3 }, rpcPatience, rpcPoll)

		next := *dead
		next.Nonce = "another run"
		require.Zero(t, client.Abandon(&next))
		again := *dead
		again.Epoch = 7 // registered once more
		require.Equal(t, 2, client.Abandon(&again))
		for range 2 {
			err := <-outcomes
			require.True(t, IsMaybe(err))
			require.ErrorIs(t, err, errs.ErrUnavailable)
			require.False(t, IsTimedOut(err) || IsUndelivered(err))
		}
		require.Zero(t, client.Abandon(&again))
		require.Empty(t, outcomes)
		require.Equal(t, 1, client.Abandon(other))
	})
}

// A Pitaya server has no nonce: its runs differ in when they registered.
func TestRunsOfPitayaServers(t *testing.T) {
	t.Parallel()
	run := &Server{ID: "a", Type: "room", Epoch: 3}
	require.True(t, sameProcess(run, &Server{ID: "a", Type: "room", Epoch: 3}))
	require.False(t, sameProcess(run, &Server{ID: "a", Type: "room", Epoch: 4}))
	require.False(t, sameProcess(run, &Server{ID: "b", Type: "room", Epoch: 3}))
}
