//go:build unix

package cereus_test

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/errs"
)

// TestN17_PausedPastTheDeadline: a server that stood still drops what nobody
// waits for any more, and serves what comes next.
func TestN17_PausedPastTheDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start(server{kind: "connector", front: true})
	paused := w.spawn("room", "paused")
	sees(t, front, "room", 1)
	call := func(route string, timeout time.Duration) error {
		return front.RPC(context.Background(), "room.tally."+route, nil, nil, cereus.To("paused"), cereus.WithTimeout(timeout))
	}
	for range 3 {
		require.NoError(t, call("add", patience))
	}
	late := metric(t, front, "cereus_rpc_calls_total", "outcome", "late_reply")

	// One call is running when it stops, and others come meanwhile.
	running := make(chan error, 1)
	go func() { running <- call("slow", time.Second) }()
	require.Equal(t, "began", paused.line())
	require.NoError(t, paused.cmd.Process.Signal(syscall.SIGSTOP))
	const waiting = 20
	var outcomes sync.WaitGroup
	var timeouts atomic.Int64
	for range waiting {
		outcomes.Go(func() {
			if errs.CodeOf(call("add", 700*time.Millisecond)) == errs.CodeTimeout {
				timeouts.Add(1)
			}
		})
	}
	outcomes.Wait()
	require.EqualValues(t, waiting, timeouts.Load())
	require.Equal(t, errs.CodeTimeout, errs.CodeOf(<-running))

	require.NoError(t, paused.cmd.Process.Signal(syscall.SIGCONT))
	for range 5 {
		require.NoError(t, call("add", patience), "right after the pause")
	}
	counts(t, front, late+waiting+1, "cereus_rpc_calls_total", "outcome", "late_reply")
	require.Equal(t, 3+1+5, counted(t, front, "paused"), "what nobody waited for ran")
}
