package cluster

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A start that is called off does not wait for a login.
func TestInitEndsWithItsContextWhileItLogsIn(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close() //nolint:errcheck // a test's
	p := etcdParams(nil, silent.Addr().String())
	p.Username, p.Password, p.DialTimeout = "u", "p", 15*time.Second
	d, err := NewEtcdDiscovery(p)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	require.Error(t, d.Init(ctx))
	require.Less(t, time.Since(began), 5*time.Second)
}

// Whoever shares the client of one that was called off makes it anew.
func TestALoginThatIsCalledOffIsTheOthersToMake(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close() //nolint:errcheck // a test's
	conn := EtcdConnection{Endpoints: []string{silent.Addr().String()}, Username: "u", Password: "p", DialTimeout: time.Second}
	var clients EtcdClients
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error, 1), make(chan error, 1)
	users := func(n int) func() bool {
		return func() bool {
			clients.mu.Lock()
			defer clients.mu.Unlock()
			return len(clients.open) == 1 && clients.open[0].users == n
		}
	}
	go func() { _, _, err := clients.acquire(ctx, conn); first <- err }()
	eventually(t, users(1), "the first logs in")
	go func() { _, _, err := clients.acquire(context.Background(), conn); second <- err }()
	eventually(t, users(2), "the second waits for it")
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	err = <-second
	require.NotErrorIs(t, err, errCalledOff)
	require.ErrorIs(t, err, context.DeadlineExceeded, "of the dial timeout")
	require.Empty(t, clients.open)
}
