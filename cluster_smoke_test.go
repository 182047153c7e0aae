package cereus_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
)

func TestClusterSmoke(t *testing.T) {
	ctx := context.Background()
	e, err := embedded.Start(ctx)
	require.NoError(t, err)
	defer e.Stop(ctx)
	cfg := config.Default()
	cfg.Cluster.SD.Etcd.Endpoints = e.EtcdEndpoints()
	cfg.Cluster.RPC.Client.NATS.Connect = e.NATSURL()
	cfg.Cluster.RPC.Server.NATS.Connect = e.NATSURL()
	front, err := cereus.New(cereus.Frontend("connector"), cereus.WithConfig(cfg), cereus.WithTCP("127.0.0.1:0"))
	require.NoError(t, err)
	back, err := cereus.New(cereus.Backend("room"), cereus.WithConfig(cfg))
	require.NoError(t, err)
	require.NoError(t, back.Register(&echoer{}, component.WithName("svc")))
	require.NoError(t, front.Start(ctx))
	require.NoError(t, back.Start(ctx))
	require.Eventually(t, func() bool { return len(front.Discovery().ServersByType("room")) == 1 }, time.Second, time.Millisecond)
	c, err := client.Dial(ctx, front.Addrs()[0].String())
	require.NoError(t, err)
	out, err := c.RequestRaw(ctx, "room.svc.echo", []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, "hello", string(out))
	start := time.Now()
	for range 2000 {
		_, err := c.RequestRaw(ctx, "room.svc.echo", []byte("hello"))
		require.NoError(t, err)
	}
	t.Log(time.Since(start) / 2000)
	start = time.Now()
	require.NoError(t, back.Shutdown(ctx))
	t.Log(time.Since(start))
	require.NoError(t, c.Close())
	require.NoError(t, front.Shutdown(ctx))
}
