package cereus_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/session"
)

// party has players in a group as long as they are logged in.
type party struct{ app *cereus.App }

func (l party) Routes(r *component.Routes) {
	component.HandleRaw(r, "join", func(ctx context.Context, _ []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		gate, err := l.app.GroupHolder(s)
		if err != nil {
			return nil, err
		}
		return []byte{}, l.app.Groups().Add(ctx, "lobby", s.UID(), group.UntilUnbind(gate))
	})
}

func TestGroupsEndWithTheSession(t *testing.T) {
	t.Parallel()
	infra, err := embedded.Start(t.Context(), embedded.WithJetStream())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(context.Background())) })
	for _, store := range []config.GroupsStore{config.GroupsInEtcd, config.GroupsInJetStream} {
		t.Run(string(store), func(t *testing.T) {
			t.Parallel()
			w := worldOn(t, infra)
			set := []change{func(c *config.Config) {
				c.Groups.Store = store
				c.Groups.Etcd.Endpoints, c.Groups.Etcd.Prefix = infra.EtcdEndpoints(), w.prefix
			}}
			room := w.start(server{kind: "room", config: set, game: func(app *cereus.App) {
				_, err := app.Groups().Members(t.Context(), "lobby")
				require.ErrorIs(t, err, group.ErrNotRunning)
				require.NoError(t, app.Register(party{app}, component.WithName("lobby")))
			}})
			gate := w.start(server{kind: "gate", front: true, config: set, game: func(app *cereus.App) {
				require.NoError(t, app.Register(loginDesk{}, component.WithName("desk")))
			}})
			sees(t, gate, "room", 1)
			sees(t, room, "gate", 1)
			inAndOut(t, gate, room)
		})
	}
}

func inAndOut(t *testing.T, gate, room *cereus.App) {
	require.NoError(t, room.Groups().Create(t.Context(), "lobby"))
	for _, uid := range []string{"ann", "bob"} {
		p := dial(t, gate)
		p.mustAsk("gate.desk.login", uid)
		p.mustAsk("room.lobby.join", "")
		members, err := gate.Groups().Members(t.Context(), "lobby")
		require.NoError(t, err)
		require.Contains(t, members, uid)
		if uid == "ann" {
			require.NoError(t, p.Close())
			until(t, "ann has left", func() bool { return memberCount(t, room) == 0 })
		}
	}
	end(t, gate)
	until(t, "bob has left", func() bool { return memberCount(t, room) == 0 })
}

func memberCount(t *testing.T, app *cereus.App) int {
	n, err := app.Groups().Count(t.Context(), "lobby")
	require.NoError(t, err)
	return n
}

func TestS23_members_of_a_killed_server_in_memory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	brief := func(c *config.Config) { c.Cluster.SD.Etcd.Heartbeat.TTL = 5 * time.Second }
	app := w.start(server{kind: "lobby", config: []change{brief}})
	held := w.spawn("room", "r1", brief)
	sees(t, app, "room", 1)
	s, _ := app.Discovery().Server("r1")
	ctx, groups := t.Context(), app.Groups()
	require.NoError(t, groups.Create(ctx, "lobby"))
	require.NoError(t, groups.Add(ctx, "lobby", "ann", group.HeldBy(group.Holder{Server: s.ID, Run: s.Nonce})))
	require.NoError(t, groups.Add(ctx, "lobby", "bob"))
	require.ErrorIs(t, groups.Add(ctx, "lobby", "cid", group.HeldBy(group.Holder{Server: s.ID, Run: "another"})), group.ErrServerGone)
	require.ErrorIs(t, groups.Add(ctx, "lobby", "cid", group.UntilUnbind(group.Holder{Server: s.ID, Run: s.Nonce})), group.ErrNotHere)
	require.NoError(t, held.cmd.Process.Kill())
	died, lag := time.Now(), watchStalls(t)
	until(t, "ann is gone", func() bool { return memberCount(t, app) == 1 })
	require.Less(t, time.Since(died), 6500*time.Millisecond+lag.most())
}

func TestGroupsInMemoryEndWithTheSessionOfTheirFrontend(t *testing.T) {
	t.Parallel()
	app := standalone(t, server{game: func(app *cereus.App) {
		require.NoError(t, app.Register(loginDesk{}, component.WithName("desk")))
		require.NoError(t, app.Register(party{app}, component.WithName("lobby")))
		require.NoError(t, app.Groups().Create(t.Context(), "lobby"))
	}})
	p := dial(t, app)
	p.mustAsk("gate.desk.login", "ann")
	p.mustAsk("gate.lobby.join", "")
	require.Equal(t, 1, memberCount(t, app))
	require.NoError(t, p.Close())
	until(t, "ann has left", func() bool { return memberCount(t, app) == 0 })
}

// TestGroupsSayWhichStoreIsAway: the start fails with the address that was tried and its key.
func TestGroupsSayWhichStoreIsAway(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Boot.Timeout, cfg.Groups.Store = time.Second, config.GroupsInEtcd
	cfg.Groups.Etcd.Endpoints, cfg.Groups.Etcd.TransactionTimeout = []string{"127.0.0.1:1"}, 200*time.Millisecond
	app, err := cereus.New(cereus.Backend("room"), cereus.Standalone(), cereus.WithConfig(cfg), cereus.WithLogger(quiet()))
	require.NoError(t, err)
	require.ErrorContains(t, app.Start(t.Context()), "key groups.etcd.endpoints: 127.0.0.1:1")
}
