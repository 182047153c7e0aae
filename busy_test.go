package cereus_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

// workers is how many remotes a server runs at once.
func workers(n int) []change {
	return []change{func(c *config.Config) { c.Cluster.RPC.Server.Concurrency = n }}
}

// gated is a remote that waits until the test opens it, and one that does not.
type gated struct {
	runs atomic.Int64
	open chan struct{}
}

func (g *gated) Routes(r *component.Routes) {
	component.RemoteRaw(r, "slow", g.slow)
	component.RemoteRaw(r, "quick", g.quick)
	component.HandleRaw(r, "quick", g.quick)
	component.HandleRaw(r, "slow", g.slow)
}

func (g *gated) slow(ctx context.Context, body []byte) ([]byte, error) {
	g.runs.Add(1)
	select {
	case <-g.open:
		return body, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (*gated) quick(_ context.Context, body []byte) ([]byte, error) { return body, nil }

// TestN05_BurstOnASlowRoute: of 400 calls at once those beyond the route's places
// are refused at once and none is lost; other routes, and players, do not notice.
func TestN05_BurstOnASlowRoute(t *testing.T) {
	t.Parallel()
	const burst, places = 400, 64
	ctx := context.Background()
	w := newWorld(t)
	g := &gated{open: make(chan struct{})}
	w.start(server{kind: "vault", id: "vault", config: workers(places), game: func(app *cereus.App) {
		require.NoError(t, app.Register(g, component.WithName("gated")))
	}})
	front := w.start(server{kind: "connector", front: true})
	sees(t, front, "vault", 1)

	began, outcomes := time.Now(), make(chan error, burst)
	for range burst {
		go func() { outcomes <- front.RPC(ctx, "vault.gated.slow", nil, []byte("x")) }()
	}
	until(t, "places are taken", func() bool { return g.runs.Load() > 0 && len(outcomes) == burst-int(g.runs.Load()) })
	refusedAfter := time.Since(began)
	ran := int(g.runs.Load())
	require.Less(t, ran, places, "one route does not get all of them")
	for range burst - ran {
		require.Equal(t, errs.CodeBusy, errs.CodeOf(<-outcomes))
	}
	held := dial(t, front)
	require.NoError(t, held.NotifyRaw(ctx, "vault.gated.slow", nil)) // of one player only
	p := dial(t, front)
	for i := range 200 {
		var out []byte
		require.NoError(t, front.RPC(ctx, "vault.gated.quick", &out, []byte("x")))
		require.Equal(t, fmt.Sprint(i), p.mustAsk("vault.gated.quick", fmt.Sprint(i)))
		err := front.RPC(ctx, "vault.gated.slow", nil, []byte("x"))
		require.Equal(t, errs.CodeBusy, errs.CodeOf(err))
	}
	close(g.open)
	for range ran {
		require.NoError(t, <-outcomes)
	}
	require.Less(t, refusedAfter, patience/2)
	t.Logf("of %d calls %d ran and %d were refused, the last after %v", burst, ran, burst-ran, refusedAfter.Round(time.Millisecond))
}

// relay calls on as the body says: routes, separated by commas; "*" is for ever.
type relay struct {
	app  *cereus.App
	next string // the other's route
	runs atomic.Int64
	took atomic.Int64 // of the last call, in ns
}

func (r *relay) Routes(routes *component.Routes) { component.RemoteRaw(routes, "on", r.on) }

func (r *relay) on(ctx context.Context, body []byte) ([]byte, error) {
	r.runs.Add(1)
	rest := string(body)
	if rest != "*" {
		left, more := strings.CutPrefix(rest, "+")
		if !more {
			return []byte("end"), nil
		}
		rest = left
	}
	began := time.Now()
	var out []byte
	err := r.app.RPC(ctx, r.next, &out, []byte(rest))
	r.took.Store(int64(time.Since(began)))
	return out, err
}

// relays are two servers that call each other, with so many workers.
func relays(t *testing.T, places int) (front *cereus.App, ping, pong *relay) {
	w := newWorld(t)
	ping, pong = &relay{next: "pong.relay.on"}, &relay{next: "ping.relay.on"}
	apps := []*cereus.App{w.start(server{kind: "connector", front: true})}
	for kind, r := range map[string]*relay{"ping": ping, "pong": pong} {
		apps = append(apps, w.start(server{kind: kind, config: workers(places), game: func(app *cereus.App) {
			r.app = app
			require.NoError(t, app.RegisterRemote(r, component.WithName("relay")))
		}}))
	}
	for _, app := range apps {
		sees(t, app, "ping", 1)
		sees(t, app, "pong", 1)
	}
	return apps[0], ping, pong
}

// TestN15_ACallsBCallsA: with one worker each, a nested call gets it, or Busy at
// once; and a circle of calls has an end.
func TestN15_ACallsBCallsA(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	t.Run("one worker each", func(t *testing.T) {
		t.Parallel()
		front, _, pong := relays(t, 1)
		var out []byte
		require.NoError(t, front.RPC(ctx, "ping.relay.on", &out, []byte("+")))
		require.Equal(t, "end", string(out))
		best := patience
		for range 20 {
			err := front.RPC(ctx, "ping.relay.on", nil, []byte("++"))
			require.Equal(t, errs.CodeBusy, errs.CodeOf(err), "ping's worker waits for pong")
			best = min(best, time.Duration(pong.took.Load()))
		}
		require.Less(t, best, 50*time.Millisecond)
		t.Logf("Busy after %v", best)
	})
	t.Run("for ever", func(t *testing.T) {
		t.Parallel()
		front, ping, pong := relays(t, 64)
		began := time.Now()
		require.ErrorIs(t, front.RPC(ctx, "ping.relay.on", nil, []byte("*")), errs.ErrTooManyHops)
		require.Less(t, time.Since(began), patience/2)
		require.EqualValues(t, constants.MaxHops, ping.runs.Load()+pong.runs.Load())
	})
}
