package router_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

// with is a list of servers with these values of one key; "" is none.
func with(key string, values ...string) []*cluster.Server {
	list := servers(len(values))
	for i, s := range list {
		if values[i] != "" {
			s.Metadata = map[string]string{key: values[i]}
		}
	}
	return list
}

// seen are the ids that a policy chooses, in a hundred calls.
func seen(t *testing.T, f router.Func, c router.Call, list []*cluster.Server) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for range 100 {
		s, err := f(t.Context(), c, list)
		require.NoError(t, err)
		out[s.ID] = true
	}
	return out
}

func set(ids ...string) map[string]bool {
	out := map[string]bool{}
	for _, id := range ids {
		out[id] = true
	}
	return out
}

func TestByVersion(t *testing.T) {
	t.Parallel()
	f := router.ByVersion(router.VersionParams{}, nil)
	list := with("version", "1", "2", "1", "", "2")
	of := func(build string) router.Call { return router.Call{ServerType: "room", Build: build} }
	require.Equal(t, set("room-00", "room-02"), seen(t, f, of("1"), list))
	require.Equal(t, set("room-01", "room-04"), seen(t, f, of("2"), list))
	require.Equal(t, set("room-03"), seen(t, f, of("3"), list), "none of that version")
	require.Equal(t, set("room-03"), seen(t, f, of(""), list), "not known")
	require.Equal(t, set("room-00"), seen(t, f, of("1"), without(list, "room-02")))
	require.Equal(t, set("room-03"), seen(t, f, of("1"), without(list, "room-00", "room-02")))
	require.Equal(t, set("room-01", "room-04"), seen(t, f, of("1"), without(list, "room-00", "room-02", "room-03")))
	require.Len(t, seen(t, f, of("3"), with("version", "1", "2", "1")), 3, "all, when nobody says nothing")
	require.Len(t, seen(t, f, of("1"), servers(3)), 3)

	own := router.ByVersion(router.VersionParams{
		Metadata: "protocol", Client: func(c router.Call) string { return c.UID },
	}, pickLast)
	require.Equal(t, set("room-02"), seen(t, own, router.Call{UID: "a", Build: "b"}, with("protocol", "b", "a", "a", "b")))
}

func TestCanaryShare(t *testing.T) {
	t.Parallel()
	list := with("track", "canary", "", "stable", "canary")
	at := func(percent float64) router.Func {
		return router.Canary(router.CanaryParams{Metadata: "track", Value: "canary", Percent: percent}, nil)
	}
	const players = 20_000
	kinds := map[string]func(i int) router.Call{
		"uid":       func(i int) router.Call { return router.Call{UID: "player-" + strconv.Itoa(i), Key: "one"} },
		"session":   func(i int) router.Call { return router.Call{Frontend: "gate-1", SessionID: int64(i) + 1, Key: "one"} },
		"key":       func(i int) router.Call { return router.Call{Key: strconv.Itoa(i)} },
		"anonymous": func(int) router.Call { return router.Call{} },
	}
	for name, who := range kinds {
		before := map[int]bool{}
		for _, percent := range []float64{0, 1, 5, 30, 99, 100} {
			f, canaries := at(percent), 0
			for i := range players {
				s, err := f(t.Context(), who(i), list)
				require.NoError(t, err)
				taken := s.Metadata["track"] == "canary"
				if taken {
					canaries++
				}
				if name != "anonymous" {
					require.False(t, before[i] && !taken, "more percent take nobody out")
					before[i] = taken
				}
			}
			share := 100 * float64(canaries) / players
			t.Logf("%s: %.2f %% of %.0f %%", name, share, percent)
			require.InDelta(t, percent, share, 2)
		}
	}
}

func TestCanaryIsStable(t *testing.T) {
	t.Parallel()
	params := router.CanaryParams{Metadata: "track", Value: "canary", Percent: 50}
	f, match := router.Canary(params, nil), router.Canary(params, nil)
	params.Value = "next"
	other := router.Canary(params, nil)
	list, next := with("track", "canary", "", "canary", "stable"), with("track", "next", "", "next", "")
	differ := 0
	for i := range 200 {
		c := player(i)
		side := seen(t, f, c, list)
		require.Len(t, side, 2, "one of two, always of the same side")
		c.Frontend, c.SessionID, c.ServerType, c.Kind = "gate-2", 77, "match", router.ToRemote
		require.Equal(t, side, seen(t, match, c, list), "on every server and for every type")
		if seen(t, other, c, next)["room-00"] != side["room-00"] {
			differ++
		}
	}
	require.InDelta(t, 100, differ, 50, "another trial is for other players")
}

func TestCanaryFallsBack(t *testing.T) {
	t.Parallel()
	f := router.Canary(router.CanaryParams{Metadata: "track", Value: "canary", Percent: 50}, nil)
	for i := range 50 {
		require.Len(t, seen(t, f, player(i), servers(2)), 2)
		require.Len(t, seen(t, f, player(i), with("track", "canary", "canary")), 2)
		require.Equal(t, set("room-01"), seen(t, f, player(i), without(with("track", "canary", ""), "room-00")))
	}
}

func TestZone(t *testing.T) {
	t.Parallel()
	busy := map[string]bool{}
	f := router.Zone(router.ZoneParams{
		Metadata: "zone", Zone: "a", Busy: func(s *cluster.Server) bool { return busy[s.ID] },
	}, nil)
	list := with("zone", "a", "b", "a", "", "c")
	near, far := set("room-00", "room-02"), set("room-01", "room-03", "room-04")
	require.Equal(t, near, seen(t, f, call(), list))
	require.Equal(t, set("room-01", "room-03"), seen(t, f, call(), append(list[1:2:2], list[3])), "none is near")

	busy["room-01"], busy["room-03"], busy["room-04"] = true, true, true
	require.Equal(t, near, seen(t, f, call(), list))
	busy["room-00"], busy["room-02"] = true, true
	require.Equal(t, near, seen(t, f, call(), list), "nobody is better")
	clear(busy)
	busy["room-00"], busy["room-02"] = true, true
	require.Equal(t, far, seen(t, f, call(), list), "spilled over")
	clear(busy)
	busy["room-00"] = true
	spilled := seen(t, f, call(), list)
	require.True(t, spilled["room-02"] && spilled["room-01"] && !spilled["room-00"], spilled)

	require.Equal(t, far, seen(t, f, call(), without(list, "room-00", "room-02")), "calls failed at all that are near")
	require.Equal(t, set("room-00"), seen(t, f, call(), without(list, "room-01", "room-03", "room-04", "room-02")), "busy, and the only one")

	calm := router.Zone(router.ZoneParams{Metadata: "zone", Zone: "b"}, nil)
	require.Equal(t, set("room-01"), seen(t, calm, call(), list))
}
