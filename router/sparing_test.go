package router_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

// busy is the list with the servers in these places busy, as discovery makes it
// of an edit: a new list with new values.
func busy(list []*cluster.Server, places ...int) []*cluster.Server {
	edited := slices.Clone(list)
	for _, i := range places {
		s := *list[i]
		s.State = cluster.StateBusy
		edited[i] = &s
	}
	return edited
}

// met are the ids that are chosen for 200 players whom nobody has met.
func met(t *testing.T, f router.Func, list []*cluster.Server) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for range 200 {
		s, err := f(t.Context(), player(rand.Int()), list)
		require.NoError(t, err)
		out[s.ID] = true
	}
	return out
}

// unbound are the policies whose choice has no bond to a server.
func unbound() map[string]router.Func {
	handsOn := router.Random()
	return map[string]router.Func{
		"default":                   router.New().Pick,
		"random":                    router.Random(),
		"round robin":               router.RoundRobin(),
		"least loaded":              router.LeastLoaded(idle),
		"least loaded without load": router.LeastLoaded(nil),
		"rendezvous without a key":  anonymous(router.Rendezvous(bounded())),
		"sticky":                    router.Sticky(nil, router.StickyParams{}),
		"sticky without a session":  anonymous(router.Sticky(nil, router.StickyParams{})),
		"version":                   router.ByVersion(router.VersionParams{}, nil),
		"canary":                    router.Canary(router.CanaryParams{Metadata: "version", Value: "2", Percent: 50}, nil),
		"zone":                      router.Zone(router.ZoneParams{Metadata: "zone", Zone: "a"}, nil),
		"one's own": func(ctx context.Context, c router.Call, list []*cluster.Server) (*cluster.Server, error) {
			return handsOn(ctx, c, list)
		},
	}
}

// anonymous asks for calls that are made for nobody.
func anonymous(f router.Func) router.Func {
	return func(ctx context.Context, c router.Call, list []*cluster.Server) (*cluster.Server, error) {
		return f(ctx, router.Call{ServerType: c.ServerType, Kind: c.Kind}, list)
	}
}

func TestBusyServersAreSpared(t *testing.T) {
	t.Parallel()
	list := servers(4)
	for name, f := range unbound() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Len(t, met(t, f, list), 4)
			require.Equal(t, set("room-00", "room-03"), met(t, f, busy(list, 1, 2)))
			require.Equal(t, set("room-03"), met(t, f, busy(list, 0, 1, 2)))
			require.Len(t, met(t, f, busy(list, 0, 1, 2, 3)), 4, "better a busy one than none")
			require.Len(t, met(t, f, list), 4)

			require.Equal(t, set("room-03"), met(t, f, without(busy(list, 1, 2), "room-00")))
			require.Equal(t, set("room-01", "room-02"), met(t, f, without(busy(list, 1, 2), "room-00", "room-03")), "calls failed at the others")
			require.Equal(t, set("room-02"), met(t, f, without(busy(list, 1, 2), "room-00", "room-01", "room-03")))
		})
	}
}

// TestBusyServersLeaveTheWeights: the others share by weight what a busy one does not get.
func TestBusyServersLeaveTheWeights(t *testing.T) {
	t.Parallel()
	list := busy(weighing(50, 100, 200, 0, 700), 1, 4)
	for name, f := range unbound() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counts := map[string]int{}
			for i := range 20_000 {
				s, err := f(t.Context(), player(i), list)
				require.NoError(t, err)
				counts[s.ID]++
			}
			fits(t, counts, without(list, "room-01", "room-04"))
		})
	}
}

// TestBusyServersKeepWhatIsTheirs: neither a key nor a session moves because its
// server is busy.
func TestBusyServersKeepWhatIsTheirs(t *testing.T) {
	t.Parallel()
	byKey := router.New()
	byKey.BoundKeys(bounded())
	list := servers(4)
	for name, f := range map[string]router.Func{
		"key":        byKey.PickByKey,
		"rendezvous": router.Rendezvous(router.Bound{}),
		"bounded":    router.Rendezvous(bounded()),
		"sticky":     router.Sticky(nil, router.StickyParams{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen := func(list []*cluster.Server) (ids []string) {
				for i := range 200 {
					c := player(i)
					c.Key = "room " + strconv.Itoa(i)
					s, err := f(t.Context(), c, list)
					require.NoError(t, err)
					ids = append(ids, s.ID)
				}
				return ids
			}
			before := chosen(list)
			require.Equal(t, before, chosen(busy(list, 0, 2)))
			require.Equal(t, before, chosen(busy(list, 0, 1, 2, 3)))
		})
	}
}

// TestSplitsBeforeBusy: a busy server of the own version or side is chosen before
// any other.
func TestSplitsBeforeBusy(t *testing.T) {
	t.Parallel()
	list := with("version", "2", "1", "2", "")
	version := router.ByVersion(router.VersionParams{}, nil)
	require.Equal(t, set("room-02"), met(t, version, busy(list, 0)))
	require.Equal(t, set("room-00", "room-02"), met(t, version, busy(list, 0, 2)))

	canaries := router.Canary(router.CanaryParams{Metadata: "version", Value: "2", Percent: 100}, nil)
	require.Equal(t, set("room-02"), met(t, canaries, busy(list, 0)))
	require.Equal(t, set("room-00", "room-02"), met(t, canaries, busy(list, 0, 2)))
	others := router.Canary(router.CanaryParams{Metadata: "version", Value: "2", Percent: 0}, nil)
	require.Equal(t, set("room-03"), met(t, others, busy(list, 1)))
	require.Equal(t, set("room-01", "room-03"), met(t, others, busy(list, 1, 3)))
}

// TestZoneOfBusyServers: busy ones of the own zone are left for another only
// where Zone may take help from there.
func TestZoneOfBusyServers(t *testing.T) {
	t.Parallel()
	list := with("zone", "a", "b", "a", "c")
	at := func(tooMuch func(*cluster.Server) bool) router.Func {
		return router.Zone(router.ZoneParams{Metadata: "zone", Zone: "a", Busy: tooMuch}, nil)
	}
	stays := at(nil)
	require.Equal(t, set("room-02"), met(t, stays, busy(list, 0)))
	require.Equal(t, set("room-00", "room-02"), met(t, stays, busy(list, 0, 2)))

	helped := at(func(*cluster.Server) bool { return false })
	require.Equal(t, set("room-02"), met(t, helped, busy(list, 0)))
	require.Equal(t, set("room-01", "room-03"), met(t, helped, busy(list, 0, 2)))
	require.Equal(t, set("room-03"), met(t, helped, busy(list, 0, 1, 2)))
	require.Equal(t, set("room-00", "room-02"), met(t, helped, busy(list, 0, 1, 2, 3)), "nobody is better")

	overloaded := at(func(s *cluster.Server) bool { return s.Metadata["zone"] == "a" })
	require.Equal(t, set("room-00", "room-02"), met(t, overloaded, busy(list, 1, 3)), "nobody is better")
}
