package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

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
	require.Empty(t, difference(&cluster.Server{}, &cluster.Server{Weight: 100}), "0 counts as 100")
	require.Equal(t, "metadata was -", difference(&cluster.Server{}, &cluster.Server{Metadata: after.Metadata}))
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
	w.LeaderChanged(cluster.Event{Kind: cluster.EventLeader, Reason: cluster.ReasonElected, Type: "\x1b", Server: evil})
	require.NotContains(t, out.String(), "\x1b")
}

// Who leads can be told before who that is.
func TestLeaderNotKnownYet(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := &watcher{out: &out}
	w.LeaderChanged(cluster.Event{Kind: cluster.EventLeader, Reason: cluster.ReasonElected, Type: "room", Token: 7})
	require.Contains(t, out.String(), "* room: somebody not known yet leads (elected, token 7)")
}

// Whoever changes something hears whether that is done, not done or not known.
func TestChange(t *testing.T) {
	t.Parallel()
	c := connection{timeout: time.Minute, user: "reader", prefix: "cereus/"}
	broken := errors.New("broken")
	require.NoError(t, c.change(t.Context(), func(context.Context) error { return nil }))
	require.ErrorIs(t, c.change(t.Context(), func(context.Context) error { return broken }), broken)
	denied := c.change(t.Context(), func(context.Context) error { return fmt.Errorf("x: %w", rpctypes.ErrPermissionDenied) })
	require.EqualError(t, denied, "user reader of etcd may not write below cereus/: name one who may with --user")

	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	c.timeout = time.Millisecond
	require.ErrorContains(t, c.change(t.Context(), wait), "etcd did not answer within 1ms: whether the change was made is not known")
	c.timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.change(ctx, wait), errInterrupted)
}

func TestMeant(t *testing.T) {
	t.Parallel()
	many := []string{"room-1", "room-2", "room-3", "room-4", "gate-1", "gate-2"}
	for _, c := range []struct {
		name  string
		names []string
		says  string
	}{
		{"romo-1", many, "did you mean room-1?"},
		{"ROOM-2", many, "did you mean room-2?"},
		{"room", many, "did you mean room-1, room-2 or room-3?"},
		{"gat", many, "did you mean gate-1 or gate-2?"},
		{"elsewhere", many, "there are room-1, room-2, room-3, room-4, gate-1 and 1 more"},
		{"elsewhere", many[:2], "there are room-1, room-2"},
		{"elsewhere", many[:1], "there is room-1"},
		{"", many[:1], "there is room-1"},
	} {
		require.Contains(t, meant(c.name, c.names), c.says, c.name)
	}
}
