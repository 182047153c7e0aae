package cereus_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
)

// soon is what peers are promised to see an edit within. Each has to keep it in one
// of some rounds, their number is attempts: the machine may be busy. At slow a test
// waits no longer.
const (
	soon     = 200 * time.Millisecond
	slow     = 10 * time.Second
	attempts = 10
)

// TestEditsReachRouting: what a running backend, or an operator, says of its
// state and its weight decides where its calls go, and where they go back to.
func TestEditsReachRouting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	game := func(app *cereus.App) {
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
		require.NoError(t, app.RegisterRemote(&table{app: app}, component.WithName("table")))
	}
	front := w.start(server{kind: "connector", front: true, game: game})
	w.start(server{kind: "room", id: "a", game: game})
	b := w.start(server{kind: "room", id: "b", game: game}).Discovery()
	sees(t, front, "room", 2)
	ctx, player := context.Background(), dial(t, front)
	for name, who := range map[string]func() string{
		"handlers": func() string {
			id, _, _ := strings.Cut(player.mustAsk("room.hall.whoami", ""), "/")
			return id
		},
		"remotes": func() string {
			got, err := cereus.Call[Greeting](ctx, front, "room.table.who", &Greeting{})
			require.NoError(t, err)
			return got.From
		},
	} {
		t.Run(name, func(t *testing.T) {
			best := editsOf(t, front, b, who)
			for n := 1; n < attempts && longest(best) >= soon; n++ {
				for edit, took := range editsOf(t, front, b, who) {
					best[edit] = min(best[edit], took)
				}
			}
			require.Less(t, longest(best), soon, "the best of %d rounds: %v", attempts, best)
		})
	}
}

// editsOf edits b in all ways, and is how long each took to reach the routing.
func editsOf(t *testing.T, front *cereus.App, b *cluster.EtcdDiscovery, who func() string) map[string]time.Duration {
	t.Helper()
	ctx, took := context.Background(), make(map[string]time.Duration)
	b.Pause()
	took["pause"] = leaves(t, "pause", "b", who)
	b.Resume()
	took["resume"] = returns(t, "resume", "b", who)
	require.NoError(t, b.Edit(ctx, cluster.Edit{State: cluster.StateDraining}))
	took["draining"] = leaves(t, "draining", "b", who)
	require.NoError(t, b.Edit(ctx, cluster.Edit{State: cluster.StateUp}))
	took["up"] = returns(t, "up", "b", who)
	_, err := front.Discovery().EditServer(ctx, "b", cluster.Edit{State: cluster.StateBusy})
	require.NoError(t, err)
	took["busy"] = leaves(t, "busy, beside one that is up", "b", who)
	_, err = front.Discovery().EditServer(ctx, "a", cluster.Edit{State: cluster.StateBusy})
	require.NoError(t, err)
	took["both busy"] = returns(t, "busy, beside one that is, too", "b", who)
	until(t, "b knows that it is busy", func() bool { return b.Self().State == cluster.StateBusy })
	require.NoError(t, b.Edit(ctx, cluster.Edit{State: cluster.StateUp}))
	took["busy again"] = leaves(t, "busy, beside one that is up again", "a", who)
	_, err = front.Discovery().EditServer(ctx, "a", cluster.Edit{State: cluster.StateUp})
	require.NoError(t, err)
	took["up again"] = returns(t, "up again", "a", who)
	heavy, usual := cluster.MaxWeight, 0
	_, err = front.Discovery().EditServer(ctx, "b", cluster.Edit{Weight: &heavy})
	require.NoError(t, err)
	took["heavy"] = shares(t, "weight 10,000 beside 100", "b", who, func(calls int) bool { return calls > sample*9/10 })
	until(t, "b knows its weight", func() bool { return b.Self().Weight == heavy }) // else the next edit changes nothing
	require.NoError(t, b.Edit(ctx, cluster.Edit{Weight: &usual}))
	took["usual"] = shares(t, "weight 0, as the other's", "b", who, func(calls int) bool { return calls > sample/4 && calls < sample*3/4 })
	return took
}

func longest(took map[string]time.Duration) time.Duration {
	return slices.Max(slices.Collect(maps.Values(took)))
}

// sample is how many calls in a row are looked at: by chance, one of two servers
// gets none of them once in 10^30 times.
const sample = 100

// leaves calls until the server gets no call any more, and is when it got its last.
func leaves(t *testing.T, edit, id string, who func() string) time.Duration {
	t.Helper()
	start, last := time.Now(), time.Duration(0)
	for without := 0; without < sample; without++ {
		if who() == id {
			last, without = time.Since(start), -1
		}
		require.Less(t, last, slow, edit)
	}
	t.Logf("%s: the last call came after %v (promised: %v)", edit, last, soon)
	return last
}

// returns calls until the server gets a call, and is when that was.
func returns(t *testing.T, edit, id string, who func() string) time.Duration {
	t.Helper()
	start := time.Now()
	for who() != id {
		require.Less(t, time.Since(start), slow, edit)
	}
	first := time.Since(start)
	t.Logf("%s: the first call came after %v (promised: %v)", edit, first, soon)
	return first
}

// shares calls until the server gets its share of a sample, and is when that began.
func shares(t *testing.T, edit, id string, who func() string, fair func(calls int) bool) time.Duration {
	t.Helper()
	for start := time.Now(); ; {
		began, calls := time.Since(start), 0
		for range sample {
			if who() == id {
				calls++
			}
		}
		if fair(calls) {
			t.Logf("%s: %d of %d calls, from %v on (promised: %v)", edit, calls, sample, began, soon)
			return began
		}
		require.Less(t, began, slow, "%s: %d of %d calls", edit, calls, sample)
	}
}
