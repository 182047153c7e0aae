package cereus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
)

// soon is what peers are promised to see an edit within; the test only prints
// that it took so long, and fails at slow, for the machine may be busy.
const (
	soon = 200 * time.Millisecond
	slow = 10 * time.Second
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
			b.Pause()
			leaves(t, "pause", "b", who)
			b.Resume()
			returns(t, "resume", "b", who)
			require.NoError(t, b.Edit(ctx, cluster.Edit{State: cluster.StateDraining}))
			leaves(t, "draining", "b", who)
			require.NoError(t, b.Edit(ctx, cluster.Edit{State: cluster.StateUp}))
			returns(t, "up", "b", who)
			_, err := front.Discovery().EditServer(ctx, "b", cluster.Edit{State: cluster.StateBusy})
			require.NoError(t, err)
			leaves(t, "busy, beside one that is up", "b", who)
			_, err = front.Discovery().EditServer(ctx, "a", cluster.Edit{State: cluster.StateBusy})
			require.NoError(t, err)
			returns(t, "busy, beside one that is, too", "b", who)
			require.NoError(t, b.Edit(ctx, cluster.Edit{State: cluster.StateUp}))
			leaves(t, "busy, beside one that is up again", "a", who)
			_, err = front.Discovery().EditServer(ctx, "a", cluster.Edit{State: cluster.StateUp})
			require.NoError(t, err)
			returns(t, "up again", "a", who)
			heavy, usual := cluster.MaxWeight, 0
			_, err = front.Discovery().EditServer(ctx, "b", cluster.Edit{Weight: &heavy})
			require.NoError(t, err)
			shares(t, "weight 10,000 beside 100", "b", who, func(calls int) bool { return calls > sample*9/10 })
			require.NoError(t, b.Edit(ctx, cluster.Edit{Weight: &usual}))
			shares(t, "weight 0, as the other's", "b", who, func(calls int) bool { return calls > sample/4 && calls < sample*3/4 })
		})
	}
}

// sample is how many calls in a row are looked at: by chance, one of two servers
// gets none of them once in 10^30 times.
const sample = 100

// leaves calls until the server gets no call any more, and prints when it got its last.
func leaves(t *testing.T, edit, id string, who func() string) {
	t.Helper()
	start, last := time.Now(), time.Duration(0)
	for without := 0; without < sample; without++ {
		if who() == id {
			last, without = time.Since(start), -1
		}
		require.Less(t, last, slow, edit)
	}
	t.Logf("%s: the last call came after %v (promised: %v)", edit, last, soon)
}

// returns calls until the server gets a call, and prints when that was.
func returns(t *testing.T, edit, id string, who func() string) {
	t.Helper()
	start := time.Now()
	for who() != id {
		require.Less(t, time.Since(start), slow, edit)
	}
	t.Logf("%s: the first call came after %v (promised: %v)", edit, time.Since(start), soon)
}

// shares calls until the server gets its share of a sample, and prints when that began.
func shares(t *testing.T, edit, id string, who func() string, fair func(calls int) bool) {
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
			return
		}
		require.Less(t, began, slow, "%s: %d of %d calls", edit, calls, sample)
	}
}
