package group_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
			Conn: nc, Bucket: fmt.Sprint("test-", n.Add(1)), Timeout: 30 * time.Second, Self: self, TTL: 30 * time.Second,
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

// NATS may end a key seconds after its ttl; a server that follows does not wait
// for that.
func TestAServerThatIsNotRenewedIsGoneWithoutNATS(t *testing.T) {
	t.Parallel()
	nc, ctx := natsConn(t, natsServer(t).NATSURL()), t.Context()
	g := started(t, group.NewJetStreamStore(group.JetStreamParams{Conn: nc}))
	e := listen(t, g)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	bucket, err := js.KeyValue(ctx, group.DefaultBucket)
	require.NoError(t, err)
	_, err = bucket.Put(ctx, "s.YQ.Yg", []byte("2000")) // without a ttl of NATS
	require.NoError(t, err)
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.Add(ctx, "room", "ann", group.HeldBy(group.Holder{Server: "a", Run: "b"})))
	e.hears(t, "room +ann", "room -ann (server gone)")
}

// A store that gives up in the middle of a large bucket leaves nobody waiting to
// tell it of the rest (TestMain looks for goroutines).
func TestAStartThatGivesUpLeavesNothing(t *testing.T) {
	t.Parallel()
	nc, ctx := natsConn(t, natsServer(t).NATSURL()), t.Context()
	started(t, group.NewJetStreamStore(group.JetStreamParams{Conn: nc}))
	for i := range 5000 {
		require.NoError(t, nc.Publish(fmt.Sprint("$KV.", group.DefaultBucket, ".other.", i), make([]byte, 1024)))
	}
	require.NoError(t, nc.Flush())
	gaveUp := false
	for wait := time.Millisecond; !gaveUp || wait < 200*time.Millisecond; wait += wait/4 + time.Millisecond {
		short, cancel := context.WithTimeout(ctx, wait)
		g := group.New(group.NewJetStreamStore(group.JetStreamParams{Conn: nc}))
		gaveUp = g.Init(short) != nil || gaveUp
		cancel()
		require.NoError(t, g.Shutdown(ctx))
	}
}

func TestABucketOfAnotherKindIsRefused(t *testing.T) {
	t.Parallel()
	nc, ctx := natsConn(t, natsServer(t).NATSURL()), t.Context()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: group.DefaultBucket})
	require.NoError(t, err)
	g := group.New(group.NewJetStreamStore(group.JetStreamParams{Conn: nc}))
	require.ErrorContains(t, g.Init(ctx), "NATS 2.11")
	require.ErrorIs(t, group.NewLater(nil).Create(ctx, "room"), group.ErrNotRunning)
}
