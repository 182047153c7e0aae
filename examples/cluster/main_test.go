package main

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/errs"
)

const patience = 30 * time.Second

// TestMain is also the program itself, for tests that look at its process.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		beProgram()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestARequestGoesThroughTheConnectorToARoom(t *testing.T) { //nolint:paralleltest // it sets the environment
	infra, err := embedded.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(context.Background())) })
	t.Setenv("CEREUS_CLUSTER_SD_ETCD_ENDPOINTS", infra.EtcdEndpoints()[0])
	t.Setenv("CEREUS_CLUSTER_RPC_CLIENT_NATS_CONNECT", infra.NATSURL())
	t.Setenv("CEREUS_CLUSTER_RPC_SERVER_NATS_CONNECT", infra.NATSURL())

	ctx, stop := context.WithCancel(t.Context())
	var servers errgroup.Group
	defer func() {
		stop()
		require.NoError(t, servers.Wait())
	}()
	addr := freeAddress(t)
	for _, args := range [][]string{{"-id", "room-1", "room"}, {"-id", "room-2", "room"}, {"-id", "connector-1", "-tcp", addr, "connector"}} {
		servers.Go(func() error { return run(ctx, args) })
	}

	c := dial(t, addr)
	defer func() { require.NoError(t, c.Close()) }()
	require.Eventually(t, func() bool {
		var rooms []Room
		err := c.Request(ctx, "connector.door.rooms", nil, &rooms)
		return err == nil && len(rooms) == 2
	}, patience, 10*time.Millisecond)
	var g Greeting
	require.NoError(t, c.Request(ctx, "room.hall.greet", &GreetRequest{Name: "ada"}, &g))
	require.Equal(t, "hello, ada", g.Text)
	require.Contains(t, []string{"room-1", "room-2"}, g.Server)
	require.Equal(t, "connector-1", g.Via)
	require.ErrorIs(t, c.Request(ctx, "room.hall.greet", &GreetRequest{}, &g), errs.ErrBadRequest)

	var rooms []Room
	require.NoError(t, c.Request(ctx, "connector.door.rooms", nil, &rooms))
	require.EqualValues(t, 1, rooms[0].Greeted+rooms[1].Greeted)
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"pub"}, {"-nonsense"}, {"-id", "room 1", "room"}} {
		require.Error(t, run(t.Context(), args), args)
	}
}

// dial waits until the connector listens.
func dial(t *testing.T, addr string) *client.Client {
	t.Helper()
	var c *client.Client
	require.Eventually(t, func() bool {
		var err error
		c, err = client.Dial(t.Context(), addr)
		return err == nil
	}, patience, 10*time.Millisecond)
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}
