package dispatch

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

const tick = time.Millisecond

// game is a component with handlers and remotes that behave as tests need.
type game struct {
	gate    chan struct{} // hold and beside wait for it
	opened  sync.Once
	running atomic.Int64 // hold and beside that are inside
	most    atomic.Int64 // of hold at once
	holding atomic.Int64
	calls   atomic.Int64
	notes   atomic.Int64
	data    atomic.Pointer[string] // of the session that called whoami last
}

// withGame gives every server of the world that starts from now on one and the
// same game, as handlers "game" and remotes "rem".
func (w *world) withGame() *game {
	g := &game{gate: make(chan struct{})}
	w.t.Cleanup(g.open)
	w.register = func(t *component.Table) error {
		if err := t.Register(g, component.WithName("game")); err != nil {
			return err
		}
		return t.RegisterRemote(&remotes{g}, component.WithName("rem"))
	}
	return g
}

// frontSeesRoom is a world with the game and one server of each type, in which
// calls have patience.
func frontSeesRoom(t *testing.T) (w *world, g *game, front, room *node) {
	t.Helper()
	w = newWorld(t)
	w.limits.Timeout = patience
	g = w.withGame()
	front, room = w.start("front-1", "front"), w.start("room-1", "room")
	front.sees(room)
	return w, g, front, room
}

func (g *game) open() { g.opened.Do(func() { close(g.gate) }) }

func (g *game) Routes(r *component.Routes) {
	component.HandleRaw(r, "echo", g.echo)
	component.HandleRaw(r, "hold", g.hold)
	component.HandleRaw(r, "beside", g.beside, component.WithConcurrent())
	component.HandleRaw(r, "exit", g.exit)
	component.HandleRaw(r, "exitbeside", g.exit, component.WithConcurrent())
	component.HandleRaw(r, "panic", func(context.Context, []byte) ([]byte, error) { panic("no such room") })
	component.NotifyRaw(r, "note", func(context.Context, []byte) { g.notes.Add(1) })
	component.Handle(r, "typed", func(_ context.Context, in *struct{ A int }) (*struct{ A int }, error) { return in, nil })
	component.HandleRaw(r, "bind", func(ctx context.Context, b []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		return b, s.Bind(ctx, string(b))
	})
	component.HandleRaw(r, "whoami", func(ctx context.Context, b []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		data := string(s.Data())
		g.data.Store(&data)
		return b, nil
	})
	component.HandleRaw(r, "save", func(ctx context.Context, b []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		if err := s.Set("saved", string(b)); err != nil {
			return nil, err
		}
		return b, s.Save(ctx)
	})
	component.HandleRaw(r, "push", func(ctx context.Context, b []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		return b, s.Push(ctx, "onPush", b)
	})
	component.HandleRaw(r, "kick", func(ctx context.Context, b []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		return b, s.Kick(ctx, "")
	})
}

func (g *game) echo(_ context.Context, b []byte) ([]byte, error) {
	g.calls.Add(1)
	return append([]byte{}, b...), nil // nil is no reply
}

func (g *game) exit(context.Context, []byte) ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}

func (g *game) hold(_ context.Context, b []byte) ([]byte, error) {
	if n := g.holding.Add(1); n > g.most.Load() {
		g.most.Store(n)
	}
	defer g.holding.Add(-1)
	g.running.Add(1)
	defer g.running.Add(-1)
	<-g.gate
	return b, nil
}

func (g *game) beside(_ context.Context, b []byte) ([]byte, error) {
	g.running.Add(1)
	defer g.running.Add(-1)
	<-g.gate
	return b, nil
}

// runs waits until so many are inside of hold and beside.
func (g *game) runs(t *testing.T, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return g.running.Load() == n }, patience, tick, "inside: %d", g.running.Load())
}

// remotes are what servers call.
type remotes struct{ g *game }

func (r *remotes) Routes(routes *component.Routes) {
	component.RemoteRaw(routes, "echo", r.g.echo)
	component.RemoteRaw(routes, "hold", r.g.beside)
	component.RemoteRaw(routes, "exit", r.g.exit)
	component.Remote(routes, "typed", func(_ context.Context, in *clusterpb.KickMsg) (*clusterpb.KickMsg, error) { return in, nil })
	component.RemoteRaw(routes, "value", func(ctx context.Context, _ []byte) ([]byte, error) {
		var v string
		_, err := Value(ctx, "mine", &v)
		return []byte(v), err
	})
}

// request has the player ask for route.
func (p *player) request(id uint64, route string) bool {
	return p.inbox.Offer([]protocol.Message{{Type: protocol.MessageRequest, ID: id, Route: route, Data: []byte("x")}})
}

func (p *player) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, a := range p.answers {
		n += len(a)
	}
	return n
}

// answer waits for the answer to a request: nil for a reply.
func (p *player) answer(t *testing.T, id uint64) *errs.Error {
	t.Helper()
	var got []*errs.Error
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		got = p.answers[id]
		return len(got) > 0
	}, patience, tick, "no answer to %d", id)
	require.Len(t, got, 1)
	return got[0]
}

func (p *player) answered(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.answers[id]) > 0
}

// sees waits until discovery shows the others to n.
func (n *node) sees(others ...*node) {
	n.w.t.Helper()
	for _, o := range others {
		require.Eventually(n.w.t, func() bool {
			s, ok := n.discovery.Server(o.self.ID)
			return ok && s.Nonce == o.self.Nonce
		}, patience, tick)
	}
}
