//go:build unix

package cereus_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

// cutWay is a NATS server behind a proxy that ends the connections and takes none.
func cutWay(t testing.TB) hanging {
	infra, err := startShared()
	require.NoError(t, err)
	proxy := faultproxy.New(t, strings.TrimPrefix(infra.NATSURL(), "nats://"))
	return hanging{
		url: "nats://" + proxy.Addr(),
		hang: func() {
			require.NoError(t, proxy.Refuse())
			proxy.Cut(faultproxy.RST)
		},
		resume: func() { require.NoError(t, proxy.Accept()) },
	}
}

// TestN21_NATSAway: NATS is gone, or stands still, while players use handlers of
// the frontend itself beside those of backends, on the same connections: of
// the former they do not notice, also not before the frontend does.
func TestN21_NATSAway(t *testing.T) { //nolint:paralleltest // it measures times
	for name, start := range map[string]func(testing.TB) hanging{"gone": cutWay, "stopped": stoppedNATS} {
		t.Run(name, func(t *testing.T) { natsAway(t, start(t)) })
	}
}

func natsAway(t *testing.T, nats hanging) {
	const timeout = time.Second
	w, lag := newWorld(t), watchStalls(t)
	w.nats = nats.url
	back := w.start(server{kind: "vault", id: "back", game: w.vaults})
	front := w.start(server{kind: "connector", front: true, config: []change{patient(timeout)}, game: func(app *cereus.App) {
		require.NoError(t, app.Register(local{}, component.WithName("local")))
	}})
	sees(t, front, "vault", 1)
	reaches(w, front, "back")

	best := 1000.0
	for round := 0; round < 5 && (round < 1 || best >= 2); round++ {
		f := newFlow(t, fmt.Sprint("round-", round))
		players := make([]*player, 4)
		for i := range players {
			players[i] = dial(t, front)
			f.start(100*time.Millisecond, func(id string) ([]byte, error) {
				out, err := players[i].ask("vault.vault.run", id)
				return []byte(out), err
			})
		}
		good := f.good("back")
		until(t, "the backend serves", func() bool { return f.good("back") > good+20 })
		quietly := atHome(t, players, lag)
		nats.hang()
		away := atHome(t, players, lag)
		for _, app := range []*cereus.App{front, back} {
			until(t, "it is noticed", func() bool { return connected(t, app) == 0 })
		}
		away = max(away, atHome(t, players, lag))
		require.Equal(t, errs.CodeUnavailable, errs.CodeOf(front.RPC(t.Context(), "vault.vault.ping", nil, nil)))
		nats.resume()
		good = f.good("back")
		until(t, "the backend serves again", func() bool { return f.good("back") > good+20 })
		quietly = max(quietly, atHome(t, players, lag))
		all := f.stop()
		exactlyOnce(t, all, timeout+patience/10+lag.most())
		ranOnce(t, w, all)
		best = min(best, float64(away)/float64(quietly))
		t.Logf("own handlers' p99: %v quiet, %v with NATS away; %d of %d messages to the backend failed", quietly, away, f.bad(), len(all))
	}
	require.Less(t, best, 2.0)
}

// atHome measures the p99 of a frontend's own handlers for a while, without what
// the machine itself held up.
func atHome(t testing.TB, players []*player, lag *stalls) time.Duration {
	t.Helper()
	f := newFlow(t, "local")
	for _, p := range players {
		f.start(10*time.Millisecond, func(id string) ([]byte, error) {
			return p.RequestRaw(context.Background(), "connector.local.echo", []byte(id))
		})
	}
	require.NoError(t, idle(t.Context(), 2*time.Second))
	var took []time.Duration
	for _, e := range f.stop() {
		require.NoError(t, e.err, "a handler of the frontend itself")
		if !lag.within(e.began, e.until()) {
			took = append(took, e.took)
		}
	}
	return percentile(took, 99)
}
