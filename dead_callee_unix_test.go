//go:build unix

package cereus_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/router"
)

// preferring takes the server with the id as long as there is one.
func preferring(id string) router.Func {
	return func(_ context.Context, _ router.Call, servers []*cluster.Server) (*cluster.Server, error) {
		if i := slices.IndexFunc(servers, func(s *cluster.Server) bool { return s.ID == id }); i >= 0 {
			return servers[i], nil
		}
		if len(servers) == 0 {
			return nil, errs.ErrNoServer
		}
		return servers[0], nil
	}
}

// prefer has calls and clients' messages to vaults go to the server with the id.
func prefer(id string) []cereus.Option {
	return []cereus.Option{
		cereus.WithRouter("vault", router.ToHandler, preferring(id)),
		cereus.WithRouter("vault", router.ToRemote, preferring(id)),
	}
}

// TestN16_KilledInAHandler: what a server was working on when it was killed fails,
// says that it may have run, and runs nowhere else, unless it is idempotent.
func TestN16_KilledInAHandler(t *testing.T) {
	t.Parallel()
	const timeout = 10 * time.Second
	ctx := context.Background()
	w := newWorld(t)
	killed := w.spawn("vault", "killed", lasting)
	w.start(server{kind: "vault", id: "other", game: w.vaults})
	front := w.start(server{kind: "connector", front: true, config: []change{patient(timeout)}, opts: prefer("killed")})
	sees(t, front, "vault", 2)

	began, outcomes := time.Now(), make(map[string]chan error)
	idempotent := make(chan []byte, 1)
	for id, ask := range map[string]func(body []byte) error{
		"to":      func(b []byte) error { return front.RPC(ctx, "vault.vault.hang", nil, b, cereus.To("killed")) },
		"any":     func(b []byte) error { return front.RPC(ctx, "vault.vault.hang", nil, b) },
		"forward": func(b []byte) error { _, err := dial(t, front).ask("vault.vault.hang", string(b)); return err },
		"idempotent": func(b []byte) error {
			var out []byte
			err := front.RPC(ctx, "vault.vault.hang", &out, b, cereus.Idempotent())
			idempotent <- out
			return err
		},
	} {
		outcome := outcomeOf(func() error { return ask([]byte(id + " killed")) })
		outcomes[id] = outcome
		w.starts("killed", id)
	}
	killed.kill()
	until(t, "a call finds nobody there", func() bool { // it goes elsewhere, and those that wait are told
		_, err := dial(t, front).ask("vault.vault.run", "next")
		require.NoError(t, err)
		return metric(t, front, "cereus_rpc_failovers_total") > 0
	})
	for id, outcome := range outcomes {
		err := <-outcome
		t.Logf("%s: %v after %v", id, err, time.Since(began).Round(time.Millisecond))
		if id == "idempotent" {
			require.NoError(t, err)
			require.Equal(t, "idempotent other", string(<-idempotent))
			continue
		}
		require.True(t, lost(err), "%s: %v", id, err)
	}
	require.Less(t, time.Since(began), timeout, "nobody waited for a deadline")
	other := w.began("other")
	delete(other, "next")
	require.Equal(t, map[string]int{"idempotent": 1}, other)
}

// TestN17_StoppedPastTheDeadline: a server that stood still while its callers gave
// up does not start what they asked, and what it says of the rest nobody hears.
func TestN17_StoppedPastTheDeadline(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	ctx := context.Background()
	w := newWorld(t)
	stopped := w.spawn("vault", "stopped", lasting)
	front := w.start(server{kind: "connector", front: true, config: []change{lasting, patient(timeout)}})
	sees(t, front, "vault", 1)
	reaches(w, front, "stopped")

	running := outcomeOf(func() error {
		return front.RPC(ctx, "vault.vault.hang", nil, []byte("running stopped"), cereus.To("stopped"))
	})
	w.starts("stopped", "running")
	stopped.freeze()
	p := dial(t, front)
	late := []chan error{running}
	for i := range 50 {
		id := []byte(fmt.Sprint("late-", i))
		late = append(late, outcomeOf(func() error {
			return front.RPC(ctx, "vault.vault.run", nil, id, cereus.To("stopped"))
		}), outcomeOf(func() error {
			_, err := p.ask("vault.vault.run", string(id)+"-forward")
			return err
		}))
	}
	for _, outcome := range late {
		err := <-outcome
		require.Contains(t, []errs.Code{errs.CodeTimeout, errs.CodeBusy}, errs.CodeOf(err), "%v", err)
	}
	before := metric(t, front, "cereus_rpc_calls_total", "outcome", "late_reply")
	stopped.thaw()
	reaches(w, front, "stopped")
	for i := range 20 {
		id := fmt.Sprint("fine-", i)
		require.Equal(t, id+" stopped", p.mustAsk("vault.vault.run", id))
	}
	counts(t, front, before+1, "cereus_rpc_calls_total", "outcome", "late_reply")
	stopped.signal(syscall.SIGTERM)
	_, code := stopped.rest() // it ends what it began
	require.Zero(t, code)
	for id := range w.began("stopped") {
		require.NotContains(t, id, "late")
	}
	require.Len(t, w.began("stopped"), 21)
}

// during is atHome of players who do nothing else.
func during(t testing.TB, front *cereus.App, lag *stalls) time.Duration {
	t.Helper()
	players := make([]*player, 4)
	for i := range players {
		players[i] = dial(t, front)
	}
	return atHome(t, players, lag)
}

// TestN21_OneOfTwoStopped: a backend hangs, and discovery does not know. The
// frontend's own handlers do not notice; after a few timeouts the others serve,
// and the one that hung is used again when it goes on.
func TestN21_OneOfTwoStopped(t *testing.T) { //nolint:paralleltest // it measures times
	const timeout = time.Second
	ctx := context.Background()
	w, lag := newWorld(t), watchStalls(t)
	hung := w.spawn("vault", "hung", lasting)
	w.start(server{kind: "vault", id: "other", game: w.vaults})
	front := w.start(server{kind: "connector", front: true, config: []change{lasting, patient(timeout)}, game: func(app *cereus.App) {
		require.NoError(t, app.Register(local{}, component.WithName("local")))
	}})
	sees(t, front, "vault", 2)

	best := 1000.0
	for round := 0; round < 5 && (round < 1 || best >= 2); round++ {
		f := newFlow(t, fmt.Sprint("round-", round))
		f.start(20*time.Millisecond, func(id string) ([]byte, error) {
			var out []byte
			err := front.RPC(ctx, "vault.vault.run", &out, []byte(id))
			return out, err
		})
		for range 3 {
			f.pilgrim(t, front).start(50*time.Millisecond, "vault.vault.run", "")
		}
		until(t, "both serve", func() bool { return f.good("hung") > 20 && f.good("other") > 20 })
		quietly := during(t, front, lag)
		hung.freeze()
		stalled := during(t, front, lag)
		until(t, "the server is passed over", func() bool {
			failed, good := f.bad(), f.good("other")
			until(t, "the other serves", func() bool { return f.good("other") > good+100 })
			return f.bad() == failed
		})
		require.Positive(t, f.bad())
		hung.thaw()
		good := f.good("hung")
		until(t, "it is used again", func() bool { return f.good("hung") > good+20 })
		quietly = max(quietly, during(t, front, lag))
		all := f.stop()
		exactlyOnce(t, all, timeout+patience/10+lag.most())
		ranOnce(t, w, all)
		best = min(best, float64(stalled)/float64(quietly))
		t.Logf("own handlers' p99: %v quiet, %v with a backend stopped; %d of %d calls of it timed out", quietly, stalled, f.bad(), len(all))
	}
	require.Less(t, best, 2.0)
}
