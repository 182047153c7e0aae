package cereus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// teams is a component whose callers choose a team.
type teams struct{}

func (teams) Routes(r *component.Routes) {
	component.HandleRaw(r, "choose", func(ctx context.Context, team []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		if err := s.Set("team", string(team)); err != nil {
			return nil, err
		}
		return team, s.Save(ctx)
	})
}

func doors(app *cereus.App) {
	_ = app.Register(members{}, component.WithName("members"))
	_ = app.Register(teams{}, component.WithName("teams"))
}

// TestS24_NowhereIsTold: who is nowhere fails on a standalone server, and is
// offline for who asks in a cluster.
func TestS24_NowhereIsTold(t *testing.T) {
	t.Parallel()
	alone := standalone(t, server{game: doors})
	ann := dial(t, alone)
	ann.mustAsk("members.join", "ann")
	p := cereus.Push{Route: "onX", Payload: []byte("1")}
	failed, err := alone.Push(t.Context(), p, "ann", "nobody")
	require.NoError(t, err)
	require.Equal(t, []string{"nobody"}, failed)
	told, err := alone.Deliver(t.Context(), p, "ann", "nobody")
	require.NoError(t, err)
	require.Equal(t, map[string]cereus.Delivery{"ann": cereus.DeliveryOnline, "nobody": cereus.DeliveryOffline}, told)
	until(t, "she has both", func() bool { return len(ann.got()) == 2 })

	w := newWorld(t)
	one, two := w.start(server{kind: "gate", front: true, game: doors}), w.start(server{kind: "gate", front: true, game: doors})
	room := w.start(server{kind: "room"})
	sees(t, room, "gate", 2)
	sees(t, one, "gate", 2)
	ann, bob := dial(t, one), dial(t, two)
	ann.mustAsk("members.join", "ann")
	bob.mustAsk("members.join", "bob")
	p.FrontendType = "gate"
	for _, from := range []*cereus.App{room, one} {
		told, err := from.Deliver(t.Context(), p, "ann", "bob", "nobody")
		require.NoError(t, err)
		require.Equal(t, map[string]cereus.Delivery{
			"ann": cereus.DeliveryOnline, "bob": cereus.DeliveryOnline, "nobody": cereus.DeliveryOffline,
		}, told)
		require.Equal(t, "online offline", fmt.Sprint(told["ann"], " ", told["nobody"]))
	}
	for _, p := range []*player{ann, bob} {
		until(t, "both came", func() bool { return slices.Equal([]string{"onX:1", "onX:1"}, p.got()) })
	}
	_, err = room.Deliver(t.Context(), cereus.Push{Route: "onX", Payload: []byte("1")}, "ann")
	require.Error(t, err, "a backend has to name the frontends")
}

func TestBroadcast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.start(server{kind: "gate", front: true, game: doors}), w.start(server{kind: "gate", front: true, game: doors})
	room := w.start(server{kind: "room", game: doors})
	for _, app := range []*cereus.App{one, two} {
		sees(t, app, "room", 1)
	}
	ann, bob, guest := dial(t, one), dial(t, two), dial(t, two)
	ann.mustAsk("members.join", "ann")
	ann.mustAsk("room.teams.choose", "red") // what a backend saves
	bob.mustAsk("members.join", "bob")
	bob.mustAsk("teams.choose", "blue")
	broadcast := func(from *cereus.App, text string, opts ...cereus.BroadcastOption) {
		unreached, err := from.Broadcast(t.Context(), cereus.Push{FrontendType: "gate", Route: "on", Payload: []byte(text)}, opts...)
		require.NoError(t, err)
		require.Empty(t, unreached)
	}
	broadcast(room, "1")
	broadcast(room, "2", cereus.Unbound())
	broadcast(room, "3", cereus.Where("team", "red"))
	broadcast(room, "4", cereus.Unbound(), cereus.Where("team", nil))
	broadcast(room, "5", cereus.Where("team", "red"), cereus.Where("level", 1))
	broadcast(room, "6", cereus.Unbound())
	for p, want := range map[*player]string{ann: "on:1 on:2 on:3 on:6", bob: "on:1 on:2 on:6", guest: "on:2 on:4 on:6"} {
		until(t, want, func() bool { return strings.Join(p.got(), " ") == want })
	}
	broadcast(one, "7") // from a frontend: its own and the others'
	until(t, "ann has one copy", func() bool { return slices.Contains(ann.got(), "on:7") })
	until(t, "bob has it", func() bool { return slices.Contains(bob.got(), "on:7") })
	broadcast(room, "8")
	until(t, "ann has the next", func() bool { return slices.Contains(ann.got(), "on:8") })
	require.Equal(t, "on:1 on:2 on:3 on:6 on:7 on:8", strings.Join(ann.got(), " "))

	_, err := room.Broadcast(t.Context(), cereus.Push{FrontendType: "gate", Route: "on"}, cereus.Where("f", func() {}))
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	_, err = room.Broadcast(t.Context(), cereus.Push{FrontendType: "gate", Route: "on"},
		slices.Repeat([]cereus.BroadcastOption{cereus.Where("k", 1)}, 9)...)
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
}

// TestN09_SparedByPriorities: pushes that may be dropped or replaced do not close
// a client that does not read, and the others get all of them.
func TestN09_SparedByPriorities(t *testing.T) {
	t.Parallel()
	const rounds = 3000
	w := newWorld(t)
	front := w.start(server{kind: "gate", front: true, game: doors, config: []change{func(c *config.Config) {
		c.Buffer.Agent.Messages = 64
		c.Buffer.Agent.ConnTimeout = 2 * patience // or it is closed for a write that takes so long
	}}})
	room := w.start(server{kind: "room"})
	sees(t, room, "gate", 1)
	p := dial(t, front)
	p.mustAsk("members.join", "reader")
	var heard atomic.Int64
	p.OnPush(func(string, []byte) { heard.Add(1) })
	blocked := blockedClient(t, front, "blocked")
	defer func() { _ = blocked.Close() }()
	data := make([]byte, 4096)
	for i := range rounds {
		push := cereus.Push{FrontendType: "gate", Route: "onX", Payload: data, Priority: cereus.Droppable}
		if i%2 == 0 {
			push.Priority, push.Key = cereus.Latest, fmt.Sprint("score-", i%10)
		}
		_, err := room.Push(t.Context(), push, "reader", "blocked")
		require.NoError(t, err)
		if i%8 == 0 { // the reader keeps up
			n := int64(i + 1)
			until(t, "the reader has it", func() bool { return heard.Load() >= n })
		}
	}
	require.Equal(t, 2, front.Sessions())
	require.Zero(t, metric(t, front, "cereus_write_queue_slow_total"))
	require.Positive(t, metric(t, front, "cereus_pushes_total", "outcome", "dropped"))
	require.Positive(t, metric(t, front, "cereus_pushes_total", "outcome", "replaced"))
	require.Equal(t, 2*rounds, metric(t, room, "cereus_pushes_total", "outcome", "sent"))
}
