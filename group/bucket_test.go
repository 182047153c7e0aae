package group_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/group"
)

// TestADeletedBucketIsMadeAnew: whoever deletes the bucket deletes the groups,
// and nothing else.
func TestADeletedBucketIsMadeAnew(t *testing.T) {
	t.Parallel()
	url, ctx := natsServer(t).NATSURL(), t.Context()
	at := func(server string) *group.Groups {
		return started(t, group.NewJetStreamStore(group.JetStreamParams{
			Conn: natsConn(t, url), Self: group.Holder{Server: server, Run: "1"}, TTL: 5 * time.Second,
		}))
	}
	one, two := at("a"), at("b")
	e := listen(t, two)
	for i := range 50 {
		require.NoError(t, one.Create(ctx, "room"), i)
		require.NoError(t, one.Add(ctx, "room", "ann"))
		require.NoError(t, one.Delete(ctx, "room"))
	}
	require.Eventually(t, func() bool { return len(e.all()) == 100 }, patience, 10*time.Millisecond)
	js, err := jetstream.New(natsConn(t, url))
	require.NoError(t, err)
	require.NoError(t, js.DeleteKeyValue(ctx, group.DefaultBucket))
	at("c") // makes the bucket before the others have noticed
	require.NoError(t, one.Create(ctx, "room"))
	require.Eventually(t, func() bool {
		return one.Add(ctx, "room", "bob", group.HeldBy(group.Holder{Server: "b", Run: "1"})) == nil
	}, patience, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		all := e.all()
		return all[len(all)-1] == "room +bob"
	}, patience, 100*time.Millisecond)
}
