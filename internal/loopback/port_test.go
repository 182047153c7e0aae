package loopback_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/loopback"
)

func TestFreePortCanBeListenedOn(t *testing.T) {
	t.Parallel()
	require.Eventually(t, func() bool {
		port, err := loopback.FreePort()
		require.NoError(t, err)
		l, err := net.Listen("tcp", loopback.Address(port))
		return err == nil && l.Close() == nil
	}, 10*time.Second, time.Millisecond)
}

func TestNoPortIsDrawnTwice(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 10_000 { // others draw, too
		port, err := loopback.FreePort()
		require.NoError(t, err)
		require.False(t, seen[port])
		seen[port] = true
	}
}

func TestListenersDoNotShareAPort(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 200 {
		l, err := loopback.Listen()
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		require.False(t, seen[l.Addr().String()])
		seen[l.Addr().String()] = true
	}
}

func TestInUse(t *testing.T) {
	t.Parallel()
	l, err := loopback.Listen()
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	_, err = net.Listen("tcp", l.Addr().String())
	require.True(t, loopback.InUse(err))
	_, err = net.Listen("tcp", "no such host:1")
	require.Error(t, err)
	require.False(t, loopback.InUse(err))
}
