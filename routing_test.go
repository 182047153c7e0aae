package cereus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/router"
)

// halls starts n servers of a type that serve players and servers.
func (w *world) halls(kind string, n int, opts func(i int) []cereus.Option) []*cereus.App {
	w.t.Helper()
	apps := make([]*cereus.App, n)
	for i := range apps {
		s := server{kind: kind, id: fmt.Sprint(kind, "-", i), game: func(app *cereus.App) {
			require.NoError(w.t, app.Register(&hall{app: app}, component.WithName("hall")))
			require.NoError(w.t, app.RegisterRemote(&table{app: app}, component.WithName("table")))
		}}
		if opts != nil {
			s.opts = opts(i)
		}
		apps[i] = w.start(s)
	}
	return apps
}

func routers(r config.Router) []change {
	return []change{func(c *config.Config) { c.Cluster.Router = r }}
}

// place is the server that serves the player's messages.
func (p *player) place(kind string) string {
	p.t.Helper()
	id, _, _ := strings.Cut(p.mustAsk(kind+".hall.whoami", ""), "/")
	return id
}

func TestStickySessionsByConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rooms := w.halls("Room", 3, nil) // in a file the name is lower-cased
	front := w.build(server{kind: "connector", front: true, config: routers(config.Router{
		Types: map[string]config.RouterPolicy{"room": {Policy: config.PolicySticky, Inner: config.PolicyRoundRobin}},
	})})
	var mu sync.Mutex
	var moves []router.Move
	require.NoError(t, front.OnMoved(func(m router.Move) {
		mu.Lock()
		defer mu.Unlock()
		moves = append(moves, m)
	}))
	require.Error(t, front.OnMoved(nil))
	begin(t, front)
	sees(t, front, "Room", 3)
	met := make(map[string]*player)
	until(t, "players on every room", func() bool {
		p := dial(t, front)
		first := p.place("Room")
		for range 5 {
			require.Equal(t, first, p.place("Room"))
		}
		met[first] = p
		return len(met) == 3
	})
	end(t, rooms[0])
	sees(t, front, "Room", 2)
	now := met["Room-0"].place("Room")
	require.NotEqual(t, "Room-0", now)
	require.Equal(t, now, met["Room-0"].place("Room"))
	require.Equal(t, "Room-1", met["Room-1"].place("Room"))
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, moves, 1)
	require.Equal(t, "Room-0", moves[0].From)
	require.Equal(t, now, moves[0].To)
	require.Equal(t, front.Server().ID, moves[0].Frontend)
	require.ErrorIs(t, front.OnMoved(func(router.Move) {}), cereus.ErrStarted)
}

// The client's build number picks the servers of its version; a call of a server
// stays in that one's version.
func TestVersionsByConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.halls("room", 3, func(i int) []cereus.Option {
		if i == 0 {
			return nil
		}
		return []cereus.Option{cereus.WithMetadata(map[string]string{"build": fmt.Sprint(i)})}
	})
	front := w.start(server{
		kind: "connector", front: true, opts: []cereus.Option{cereus.WithMetadata(map[string]string{"build": "2"})},
		config: routers(config.Router{Default: config.RouterPolicy{Version: config.RouterVersion{Metadata: "build"}}}),
	})
	sees(t, front, "room", 3)
	for build, id := range map[string]string{"1": "room-1", "2": "room-2", "3": "room-0"} {
		p := dial(t, front, client.WithHandshake(protocol.HandshakeRequest{
			Sys: protocol.HandshakeSys{Platform: "test", BuildNumber: build},
		}))
		for range 10 {
			require.Equal(t, id, p.place("room"))
		}
	}
	for range 10 {
		require.Equal(t, "room-2", who(t, front))
	}
}

func TestZoneCanaryAndCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rooms := w.halls("room", 3, func(i int) []cereus.Option {
		return []cereus.Option{cereus.WithMetadata(map[string]string{"zone": fmt.Sprint(i), "track": fmt.Sprint(i % 2)})}
	})
	policy := config.RouterPolicy{
		Policy: config.PolicyLeastLoaded, Bound: 2, Zone: config.RouterZone{Metadata: "zone", Zone: "1", Busy: 1e6},
	}
	app := w.start(server{kind: "match", config: routers(config.Router{Default: policy, Types: map[string]config.RouterPolicy{
		"hall": {Policy: config.PolicyRendezvous}, "desk": {Policy: config.PolicyRandom},
	}})})
	sees(t, app, "room", 3)
	for range 10 {
		require.Equal(t, "room-1", who(t, app))
	}
	require.GreaterOrEqual(t, app.LoadOf(rooms[0].Server()), 1.0)
	canary := w.start(server{kind: "match", config: routers(config.Router{Default: config.RouterPolicy{
		Canary: config.RouterCanary{Metadata: "track", Value: "1", Percent: 100},
	}})})
	sees(t, canary, "room", 3)
	for range 10 {
		require.Equal(t, "room-1", who(t, canary))
	}

	coded := w.start(server{
		kind: "match", config: routers(config.Router{Default: policy}),
		opts: []cereus.Option{cereus.WithRouter("room", 0, pick("room-2"))},
	})
	sees(t, coded, "room", 3)
	require.Equal(t, "room-2", who(t, coded), "code wins")
	require.NoError(t, coded.SetRouter("room", router.ToRemote, router.LeastLoaded(coded.LoadOf)))
	until(t, "another router", func() bool { return who(t, coded) != "room-2" })
	require.NoError(t, coded.SetRouter("room", 0, nil))
	require.Equal(t, "room-1", who(t, coded))
	require.NoError(t, coded.SetRouter("", 0, pick("room-0")))
	require.Equal(t, "room-0", who(t, coded))
	require.Error(t, coded.SetRouter("", router.ToHandler, nil))
	require.Error(t, coded.SetRouter("room", 7, nil))
	_, err := cereus.New(cereus.Backend("x"), cereus.Standalone(), cereus.WithRouter("", router.ToRemote, nil))
	require.Error(t, err)
	ids := []string{}
	for r := range cereus.CallEach[Greeting](context.Background(), coded, "room.table.who", &Greeting{}) {
		ids = append(ids, r.ServerID)
	}
	slices.Sort(ids)
	require.Equal(t, []string{"room-0", "room-1", "room-2"}, ids, "no router is asked for calls of all")
}
