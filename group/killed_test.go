package group_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/group"
)

// slack is the time beyond the TTL in which members of a dead server are gone.
const slack = 1500 * time.Millisecond

func TestS23_membership_is_exact(t *testing.T) {
	t.Parallel()
	_, client := etcd(t)
	for name, fresh := range map[string]freshStore{
		"memory": inMemory, "etcd": inEtcd(client), "jetstream": inJetStream(natsConn(t, natsServer(t).NATSURL())),
	} {
		for what, test := range map[string]func(*testing.T, freshStore){
			"broadcast": contractBroadcast, "end during joins": contractEndDuringJoins, "listener": contractListenerModel,
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				test(t, fresh)
			})
		}
	}
}

func TestS23_members_of_a_killed_frontend_in_etcd(t *testing.T) {
	t.Parallel()
	c, client := etcd(t)
	p := childParams{Etcd: c.EtcdEndpoints()[0], Self: gate, TTL: 5 * time.Second}
	store := group.NewEtcdStore(group.EtcdParams{Client: client, Self: group.Holder{Server: "room-1", Run: "x"}})
	killed(t, started(t, store), p)
}

func TestS23_members_of_a_killed_frontend_in_JetStream(t *testing.T) {
	t.Parallel()
	url := natsServer(t).NATSURL()
	p := childParams{NATS: url, Self: gate, TTL: 5 * time.Second}
	store := group.NewJetStreamStore(group.JetStreamParams{Conn: natsConn(t, url), Self: group.Holder{Server: "room-1", Run: "x"}})
	killed(t, started(t, store), p)
}

// killed has a child hold members, kills it and waits until they are gone.
func killed(t *testing.T, g *group.Groups, p childParams) {
	c, ctx := spawn(t, p), t.Context()
	e := listen(t, g)
	require.NoError(t, g.Create(ctx, "room"))
	require.NoError(t, g.CreateWithTTL(ctx, "match", time.Hour))
	for _, name := range []string{"room", "match"} {
		require.NoError(t, g.Add(ctx, name, "stays"))
		for i := range 20 {
			require.NoError(t, g.Add(ctx, name, fmt.Sprint("u", i), group.HeldBy(p.Self)))
		}
	}
	require.NoError(t, c.cmd.Process.Kill())
	died := time.Now()
	require.Eventually(t, func() bool {
		a, errA := g.Count(ctx, "room")
		b, errB := g.Count(ctx, "match")
		return errA == nil && errB == nil && a == 1 && b == 1
	}, patience, 5*time.Millisecond)
	took := time.Since(died)
	t.Logf("gone after %v, ttl %v", took, p.TTL)
	require.Less(t, took, p.TTL+slack)
	require.Eventually(t, func() bool { return len(e.all()) == 82 }, patience, 5*time.Millisecond)
	for _, text := range e.all()[42:] {
		require.Contains(t, text, "(server gone)")
	}
	require.ErrorIs(t, g.Add(ctx, "room", "late", group.UntilUnbind(p.Self)), group.ErrServerGone)
}
