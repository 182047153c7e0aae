//go:build unix

package cereus_test

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
)

// TestN21_AHungBackend: one of two backends stands still. Handlers of the
// frontend notice nothing, the other backend soon serves everybody, and the one
// that hung serves again when it goes on.
func TestN21_AHungBackend(t *testing.T) {
	w := newWorld(t)
	hung := w.spawn("room", "hung")
	w.spawn("room", "well")
	front := w.start(server{
		kind: "connector", front: true,
		config: []change{func(c *config.Config) {
			c.Cluster.RPC.Client.NATS.RequestTimeout = time.Second
			c.Cluster.Window.Server = 8 // full at once when somebody hangs
		}},
		game: func(app *cereus.App) {
			require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
		},
	})
	sees(t, front, "room", 2)
	players := make([]*player, 20)
	for i := range players {
		players[i] = dial(t, front)
	}
	quiet, failed := play(t, players)
	require.Zero(t, failed)
	require.NoError(t, hung.cmd.Process.Signal(syscall.SIGSTOP))
	lag := watchStalls(t)
	during, failed := play(t, players)
	t.Logf("local handlers: p99 %v quiet, %v with a hung backend; %d calls to it timed out", quiet, during, failed)
	require.Less(t, during, 2*quiet+200*time.Millisecond+lag.most(), "timeouts here are of a second")
	counts(t, front, 1, "cereus_rpc_hung_total")
	for _, p := range players {
		require.Equal(t, "well", p.place("room"))
	}
	require.NoError(t, hung.cmd.Process.Signal(syscall.SIGCONT))
	until(t, "it serves again", func() bool { return players[0].place("room") == "hung" })
}

// play has each player ask a room, and the frontend itself all the while. It
// returns the 99th percentile of the frontend's answers and how many of the
// room's were timeouts.
func play(t *testing.T, players []*player) (time.Duration, int) {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	failed := 0
	var games sync.WaitGroup
	for _, p := range players {
		games.Go(func() {
			var asks sync.WaitGroup
			defer asks.Wait()
			for range 30 {
				asks.Go(func() {
					_, err := p.ask("room.hall.whoami", "")
					mu.Lock()
					defer mu.Unlock()
					if err != nil && errs.CodeOf(err) != errs.CodeTimeout {
						t.Errorf("room: %v", err)
					}
					if err != nil {
						failed++
					}
				})
				begin := time.Now()
				_, err := p.RequestRaw(context.Background(), "hall.whoami", nil)
				mu.Lock()
				took = append(took, time.Since(begin))
				mu.Unlock()
				if err != nil {
					t.Errorf("local: %v", err)
					return
				}
				<-time.After(20 * time.Millisecond)
			}
		})
	}
	games.Wait()
	slices.Sort(took)
	return took[len(took)*99/100], failed
}
