package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		code int
		says string
	}{
		{nil, ExitOK, ""},
		{errReported, ExitFailed, ""},
		{errors.New("broken"), ExitFailed, "cereus: broken\n"},
		{fmt.Errorf("x: %w", &usageError{cause: errors.New("wrong"), command: "cereus dev"}), ExitUsage,
			"cereus: x: wrong\nRun 'cereus dev --help' for how it is used.\n"},
	} {
		var out bytes.Buffer
		require.Equal(t, c.code, exitCode(c.err, &out))
		require.Equal(t, c.says, out.String())
	}
}

func TestDifference(t *testing.T) {
	t.Parallel()
	before := &cluster.Server{State: cluster.StateUp, Weight: 1, Metadata: map[string]string{"a": "1"}}
	after := &cluster.Server{State: cluster.StateBusy, Weight: 2, Metadata: map[string]string{"a": "2"}}
	require.Equal(t, "state up to busy, weight 1 to 2, metadata was a=1", difference(before, after))
	require.Empty(t, difference(before, before))
}

// Everybody who may write to etcd may choose a state's text.
func TestServersCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	up := &cluster.Server{ID: "a", Type: "room", State: cluster.StateUp}
	evil := &cluster.Server{ID: "a", Type: "room", State: "\x1b[2J"}
	var out bytes.Buffer
	w := &watcher{out: &out}
	w.AddServer(cluster.Event{Server: evil})
	w.UpdateServer(cluster.Event{Server: up, Before: evil})
	w.UpdateServer(cluster.Event{Server: evil, Before: up})
	require.NotContains(t, out.String(), "\x1b")
}
