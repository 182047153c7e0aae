//go:build unix

package cereus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

// hanging is a NATS that can hang.
type hanging struct {
	url          string
	hang, resume func()
}

// stoppedNATS is a NATS server in a process of its own, which is stopped.
func stoppedNATS(t testing.TB) hanging {
	nats := spawn(t, "nats")
	return hanging{nats.addr, nats.freeze, nats.thaw}
}

// frozenWay is a NATS server that stays away behind a proxy: the connections are
// there, and nothing comes through.
func frozenWay(t testing.TB) hanging {
	infra, err := startShared()
	require.NoError(t, err)
	proxy := faultproxy.New(t, strings.TrimPrefix(infra.NATSURL(), "nats://"))
	return hanging{"nats://" + proxy.Addr(), func() { proxy.Pause(faultproxy.All) }, proxy.Resume}
}

// connected is how many of an app's two NATS connections are up.
func connected(t testing.TB, app *cereus.App) int { return metric(t, app, "cereus_nats_connected") }

// TestN08_HangingNATS: whether NATS itself stands still or the way there, and
// whether there is anything to send: both connections of every server know after
// 3.5 s. Calls then fail at once, a frontend's own handlers go on, and when NATS
// does, so do calls.
func TestN08_HangingNATS(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) hanging{"stopped": stoppedNATS, "frozen": frozenWay} {
		for load, busy := range map[string]bool{"idle": false, "publishing": true} {
			t.Run(name+" "+load, func(t *testing.T) {
				t.Parallel()
				natsHangs(t, start(t), busy)
			})
		}
	}
}

func natsHangs(t *testing.T, nats hanging, busy bool) {
	const noticed, allowed = 3500 * time.Millisecond, 500 * time.Millisecond
	ctx, lag := context.Background(), watchStalls(t)
	w := newWorld(t)
	w.nats = nats.url
	back := w.start(server{kind: "vault", id: "back", config: []change{patient(patience / 3)}, game: w.vaults})
	front := w.start(server{kind: "connector", front: true, config: []change{patient(patience / 3)}, game: func(app *cereus.App) {
		require.NoError(t, app.Register(local{}, component.WithName("local")))
	}})
	sees(t, front, "vault", 1)
	reaches(w, front, "back")
	p := dial(t, front)
	if busy {
		publishing(t, front)
	}

	began := time.Now()
	nats.hang()
	pending := outcomeOf(func() error { return front.RPC(ctx, "vault.vault.ping", nil, nil) })
	for _, app := range []*cereus.App{front, back} {
		until(t, "it is noticed", func() bool { return connected(t, app) == 0 })
	}
	took := time.Since(began)
	require.True(t, lost(<-pending))
	t.Logf("noticed after %v (the machine stalled for up to %v)", took.Round(time.Millisecond), lag.most().Round(time.Millisecond))
	require.Less(t, took, noticed+allowed+lag.most())

	best := patience
	for range 50 {
		since := time.Now()
		err := front.RPC(ctx, "vault.vault.ping", nil, nil)
		require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), "%v", err)
		best = min(best, time.Since(since))
		require.Equal(t, "x", p.mustAsk("connector.local.echo", "x"))
	}
	require.Less(t, best, 50*time.Millisecond)
	nats.resume()
	for _, app := range []*cereus.App{front, back} {
		until(t, "it is back", func() bool { return connected(t, app) == 2 })
	}
	reaches(w, front, "back")
}

// publishing sends 16 KiB messages in a loop until the test ends, as long as there
// is a connection.
func publishing(t testing.TB, app *cereus.App) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	body := []byte("load" + strings.Repeat(" ", 16<<10))
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			push := cereus.Push{FrontendType: "nobody", Route: "load", Payload: body}
			if _, err := app.Push(ctx, push, "somebody"); err != nil {
				_ = idle(ctx, 10*time.Millisecond)
			}
			_ = idle(ctx, 100*time.Microsecond) // the queue is to be fed, not full
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
}
