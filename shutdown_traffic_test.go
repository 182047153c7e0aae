package cereus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/errs"
)

// calls begins calls of the vault of a type and of players of a frontend.
func (f *flow) calls(t testing.TB, front *cereus.App, every time.Duration, opts ...cereus.CallOption) {
	f.start(every, func(id string) ([]byte, error) {
		var out []byte
		err := front.RPC(context.Background(), "vault.vault.run", &out, []byte(id+" 1ms"), opts...)
		return out, err
	})
}

// TestN12_ShutdownUnderTraffic: a backend and a frontend stop while they are busy,
// a hundred times. Nothing panics; what a server accepted it answers, and what it
// refuses has a code. Calls to the type go on without a failure.
func TestN12_ShutdownUnderTraffic(t *testing.T) {
	t.Parallel()
	rounds := 5
	if long() {
		rounds = 100
	}
	w := newWorld(t)
	w.start(server{kind: "vault", id: "stays", game: w.vaults})
	front := w.start(server{kind: "connector", front: true, config: []change{patient(patience / 2)}})
	typed := newFlow(t, "any")
	typed.calls(t, front, 5*time.Millisecond)
	for range 2 {
		typed.pilgrim(t, front).start(20*time.Millisecond, "vault.vault.run", " 1ms")
	}
	for round := range rounds {
		shutdownRound(t, w, front, fmt.Sprint("goes-", round))
	}
	all := typed.stop()
	exactlyOnce(t, all, patience)
	ranOnce(t, w, all)
	for _, e := range all {
		require.NoError(t, e.err, "%s after %v", e.id, e.took)
	}
	require.Zero(t, metric(t, front, "cereus_panics_total"))
	t.Logf("%d calls to the type during %d shutdowns, none failed", len(all), rounds)
}

// shutdownRound starts a backend and a frontend, and stops them under traffic.
func shutdownRound(t *testing.T, w *world, front *cereus.App, id string) {
	t.Helper()
	goes := w.start(server{kind: "vault", id: id, game: w.vaults})
	gate := w.start(server{kind: "gate", front: true, config: []change{patient(patience / 2)}, game: func(app *cereus.App) {
		require.NoError(t, app.Register(local{}, component.WithName("local")))
	}})
	for _, app := range []*cereus.App{front, gate, goes} {
		sees(t, app, "vault", 2)
	}
	to, through, from := newFlow(t, id+"-to"), newFlow(t, id+"-through"), newFlow(t, id+"-from")
	to.calls(t, front, 2*time.Millisecond, cereus.To(id))
	from.calls(t, goes, 5*time.Millisecond, cereus.To("stays"))
	for range 3 {
		through.pilgrim(t, gate).start(4*time.Millisecond, "vault.vault.run", " 1ms")
	}
	until(t, "it is busy", func() bool { return to.good(id) > 20 && through.good(id) > 5 && from.good("stays") > 5 })
	stopped := outcomeOf(func() error { return goes.Shutdown(context.Background()) })
	stoppedGate := outcomeOf(func() error { return gate.Shutdown(context.Background()) })
	require.NoError(t, <-stopped)
	require.NoError(t, <-stoppedGate)
	refused := to.bad()
	until(t, "calls are refused", func() bool { return to.bad() > refused+5 })

	direct, own, players := to.stop(), from.stop(), through.stop()
	exactlyOnce(t, direct, patience)
	exactlyOnce(t, own, patience)
	ranOnce(t, w, direct)
	ranOnce(t, w, own)
	ranOnce(t, w, players)
	began := w.began(id)
	for _, e := range direct {
		require.Equal(t, e.err == nil, began[e.id] == 1, "%s: accepted calls are answered: %v", e.id, e.err)
		require.False(t, e.err != nil && lost(e.err), "%s: refused ones certainly did not run: %v", e.id, e.err)
	}
	for _, e := range players {
		var end *hangUp
		require.Equal(t, 1, e.answered, e.id)
		require.True(t, e.err == nil || errors.As(e.err, &end) || errs.CodeOf(e.err) != "", "%s: %v", e.id, e.err)
	}
	for _, app := range []*cereus.App{goes, gate} {
		require.Zero(t, metric(t, app, "cereus_panics_total"))
		require.NotEmpty(t, errs.CodeOf(app.RPC(context.Background(), "vault.vault.run", nil, nil)))
	}
}

// TestN14_LameDuckOfCalls: a NATS node leaves while servers and players call. No
// call fails, and none runs twice.
func TestN14_LameDuckOfCalls(t *testing.T) {
	t.Parallel()
	const stays = 3 * time.Second
	ctx := context.Background()
	infra, err := embedded.Start(ctx, embedded.WithNATSNodes(2), embedded.WithLameDuck(stays, stays+time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, infra.Stop(ctx)) })
	w := worldOn(t, infra)
	require.NoError(t, infra.StopNATS(ctx, 1)) // everybody is on the node that leaves
	front := w.start(server{kind: "connector", front: true})
	apps := []*cereus.App{front}
	for _, id := range []string{"vault-1", "vault-2"} {
		apps = append(apps, w.start(server{kind: "vault", id: id, game: w.vaults}))
	}
	require.NoError(t, infra.RestartNATS(ctx, 1))
	sees(t, front, "vault", 2)
	f := newFlow(t, "call")
	f.calls(t, front, 2*time.Millisecond)
	for range 4 {
		f.pilgrim(t, front).start(10*time.Millisecond, "vault.vault.run", " 1ms")
	}
	until(t, "both serve", func() bool { return f.good("vault-1") > 50 && f.good("vault-2") > 50 })
	require.NoError(t, infra.LameDuck(0))
	for _, app := range apps {
		counts(t, app, 2, "cereus_nats_reconnects_total")
	}
	require.NoError(t, infra.StopNATS(ctx, 0))
	before := f.good("vault-1")
	until(t, "calls go on", func() bool { return f.good("vault-1") > before+50 })
	all := f.stop()
	exactlyOnce(t, all, patience)
	ranOnce(t, w, all)
	for _, e := range all {
		require.NoError(t, e.err, "%s after %v", e.id, e.took)
	}
	t.Logf("%d calls, none failed", len(all))
}
