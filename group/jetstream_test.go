package group_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/group"
)

func natsServer(t testing.TB) *embedded.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := embedded.Start(ctx, embedded.WithoutEtcd(), embedded.WithJetStream())
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func natsConn(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.RetryOnFailedConnect(true))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func TestJetStream(t *testing.T) {
	t.Parallel()
	nc := natsConn(t, natsServer(t).NATSURL())
	var n atomic.Int64
	contract(t, func(_ testing.TB, self group.Holder) group.Store {
		return group.NewJetStreamStore(group.JetStreamParams{
			Conn: nc, Bucket: fmt.Sprint("test-", n.Add(1)), Timeout: 30 * time.Second, Self: self, TTL: 5 * time.Second,
		})
	})
}
