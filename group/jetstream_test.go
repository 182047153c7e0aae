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

// inJetStream makes stores with buckets of their own.
func inJetStream(nc *nats.Conn) freshStore {
	var n atomic.Int64
	return func(_ testing.TB, self group.Holder) group.Store {
		return group.NewJetStreamStore(group.JetStreamParams{
			Conn: nc, Bucket: fmt.Sprint("test-", n.Add(1)), Timeout: 30 * time.Second, Self: self, TTL: 5 * time.Second,
		})
	}
}

func TestJetStream(t *testing.T) {
	t.Parallel()
	contract(t, inJetStream(natsConn(t, natsServer(t).NATSURL())))
}

func BenchmarkJetStream(b *testing.B) {
	nc := natsConn(b, natsServer(b).NATSURL())
	g, ctx := started(b, group.NewJetStreamStore(group.JetStreamParams{Conn: nc})), b.Context()
	require.NoError(b, g.Create(ctx, "room"))
	for i := range 1000 {
		require.NoError(b, g.Add(ctx, "room", fmt.Sprint("user-", i)))
	}
	b.Run("members of 1000", func(b *testing.B) {
		for b.Loop() {
			_, err := g.Members(ctx, "room")
			require.NoError(b, err)
		}
	})
	b.Run("join and leave among 1000", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, g.Add(ctx, "room", "ann"))
			require.NoError(b, g.Remove(ctx, "room", "ann"))
		}
	})
}
