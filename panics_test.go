package cereus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/pipeline"
	"github.com/cereus-game/cereus/router"
	"github.com/cereus-game/cereus/session"
)

// Bomb panics when it is encoded or decoded with its fuse lit.
type Bomb struct{ Lit bool }

// MarshalJSON panics.
func (b Bomb) MarshalJSON() ([]byte, error) {
	if b.Lit {
		panic("boom in marshal")
	}
	return []byte(`{}`), nil
}

// UnmarshalJSON panics.
func (b *Bomb) UnmarshalJSON([]byte) error { panic("boom in unmarshal") }

// rude is an error that panics when it is asked for its text.
type rude struct{ text *string }

func (r *rude) Error() string { return *r.text }

// mines panics in every way that a handler, or remote, can.
type mines struct{}

func (mines) Routes(r *component.Routes) {
	component.Handle(r, "typed", func(context.Context, *Greeting) (*Greeting, error) { panic("boom in typed") })
	component.HandleRaw(r, "raw", func(context.Context, []byte) ([]byte, error) { panic(errors.New("boom in raw")) })
	component.HandleRaw(r, "beside", func(context.Context, []byte) ([]byte, error) { panic("boom in beside") }, component.WithConcurrent())
	component.HandleRaw(r, "nil", func(context.Context, []byte) ([]byte, error) { panic(nil) }) //nolint:govet // on purpose
	component.HandleRaw(r, "runtime", func(_ context.Context, b []byte) ([]byte, error) { return b[100 : 101 : 99+len(b)], nil })
	component.Handle(r, "argument", func(context.Context, *Bomb) (*Greeting, error) { return nil, nil })
	component.Handle(r, "reply", func(context.Context, *component.None) (*Bomb, error) { return &Bomb{Lit: true}, nil })
	component.HandleRaw(r, "error", func(context.Context, []byte) ([]byte, error) { return nil, &rude{} })
	component.HandleRaw(r, "push", pushBomb)
	component.NotifyRaw(r, "notify", func(context.Context, []byte) { panic("boom in notify") })
	component.HandleRaw(r, "fine", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	component.HandleRaw(r, "hook", func(ctx context.Context, _ []byte) ([]byte, error) {
		s, ok := session.FromContext(ctx)
		if !ok {
			return nil, errNoSession
		}
		s.OnClose(func(*session.Session) { panic("boom in a hook") })
		return []byte("hooked"), nil
	})
	component.RemoteRaw(r, "remote", func(context.Context, []byte) ([]byte, error) { panic("boom in remote") })
	component.Remote(r, "remotereply", func(context.Context, *Greeting) (*Bomb, error) { return &Bomb{Lit: true}, nil })
	component.RemoteRaw(r, "remoteerror", func(context.Context, []byte) ([]byte, error) { return nil, &rude{} })
	component.RemoteRaw(r, "remotefine", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
}

func pushBomb(ctx context.Context, _ []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	return []byte{}, s.Push(ctx, "bomb", &Bomb{Lit: true})
}

// Found has a handler that is found by reflection.
type Found struct{}

// Panic panics.
func (Found) Panic(context.Context, *Greeting) (*Greeting, error) { panic("boom in found") }

// grumpy is middleware that panics on the word of the caller.
func grumpy() pipeline.Middleware {
	word := func(in any) string {
		b, _ := in.([]byte)
		return string(b)
	}
	return pipeline.Chain(
		pipeline.Before(func(ctx context.Context, in any) (context.Context, any, error) {
			if word(in) == "before" {
				panic("boom in before")
			}
			return ctx, in, nil
		}),
		pipeline.After(func(_ context.Context, out any, err error) (any, error) {
			if word(out) == "after" {
				panic("boom in after")
			}
			return out, err
		}),
	)
}

func minefield(t testing.TB) func(*cereus.App) {
	return func(app *cereus.App) {
		require.NoError(t, app.Register(mines{}, component.WithName("mines")))
		require.NoError(t, app.Register(&hall{app: app}, component.WithName("hall")))
		require.NoError(t, app.Register(Found{}, component.WithName("found"), component.WithNameFunc(strings.ToLower)))
	}
}

// TestN19_PanicsOfHandlers: here and on another server, the caller gets Internal
// with the value and without the stack, and everything else lives on.
func TestN19_PanicsOfHandlers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boom := func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) {
		panic("boom in router")
	}
	opts := []cereus.Option{cereus.WithHandlerMiddleware(grumpy()), cereus.WithRemoteMiddleware(grumpy())}
	back := w.start(server{kind: "room", game: minefield(t), opts: opts})
	w.start(server{kind: "lost"})
	front := w.start(server{kind: "gate", front: true, game: minefield(t), opts: append(opts,
		cereus.WithRouter("lost", router.ToHandler, boom), cereus.WithRouter("lost", router.ToRemote, boom))})
	sees(t, front, "room", 1)
	sees(t, front, "lost", 1)
	healthy, p := dial(t, front), dial(t, front)
	p.mustAsk("hall.login", "ann")
	for route, says := range map[string]string{
		"mines.typed": "boom in typed", "mines.raw": "boom in raw", "mines.beside": "boom in beside",
		"mines.nil": "panic called with nil", "mines.runtime": "out of range", "found.panic": "boom in found",
		"mines.argument": "boom in unmarshal", "mines.reply": "boom in marshal", "mines.push": "boom in marshal",
		"mines.error": "nil pointer", "mines.fine before": "boom in before", "mines.fine after": "boom in after",
	} {
		route, body, _ := strings.Cut(route, " ")
		if body == "" {
			body = "{}"
		}
		for _, where := range []string{"", "gate.", "room."} {
			_, err := p.ask(where+route, body)
			if route == "mines.argument" { // the client's bytes are to blame
				require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
				require.ErrorContains(t, err, says)
			} else {
				internal(t, err, says)
			}
			require.Equal(t, "x", healthy.mustAsk("mines.fine", "x"))
			require.Equal(t, "x", healthy.mustAsk("room.mines.fine", "x"))
			require.Equal(t, "x", p.mustAsk(where+"mines.fine", "x"), "the session lives")
		}
	}
	for _, route := range []string{"mines.notify", "room.mines.notify"} {
		require.NoError(t, p.NotifyRaw(context.Background(), route, nil))
	}
	_, err := p.ask("lost.mines.fine", "")
	internal(t, err, "boom in router")
	const counted = 12
	counts(t, front, 2*counted+1, "cereus_panics_total", "where", "handler")
	counts(t, back, counted+1, "cereus_panics_total", "where", "handler")
	require.Equal(t, "x", p.mustAsk("mines.fine", "x"))
}

// internal checks what the caller of something that panicked is told.
func internal(t *testing.T, err error, says string) {
	t.Helper()
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, says)
	require.NotContains(t, err.Error(), "goroutine")
	require.NotContains(t, err.Error(), ".go:")
}

func TestN19_PanicsOfRemotes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	callee := w.start(server{kind: "room", game: minefield(t), opts: []cereus.Option{cereus.WithRemoteMiddleware(grumpy())}})
	boom := func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) {
		panic("boom in router")
	}
	caller := w.start(server{kind: "match", opts: []cereus.Option{cereus.WithRouter("connector", router.ToRemote, boom)}})
	w.start(server{kind: "connector"})
	sees(t, caller, "room", 1)
	sees(t, caller, "connector", 1)
	for route, says := range map[string]string{
		"remote": "boom in remote", "remotereply": "boom in marshal", "remoteerror": "nil pointer",
		"remotefine before": "boom in before", "remotefine after": "boom in after",
	} {
		route, body, _ := strings.Cut(route, " ")
		if body == "" {
			body = "{}"
		}
		internal(t, caller.RPC(ctx, "room.mines."+route, nil, []byte(body)), says)
		require.NoError(t, caller.RPC(ctx, "room.mines.remotefine", nil, []byte("x")))
	}
	internal(t, caller.RPC(ctx, "connector.mines.remote", nil, nil), "boom in router")
	counts(t, callee, 5, "cereus_panics_total", "where", "handler")
}

// TestN19_HiddenPanics: errors.hidepanics tells callers nothing.
func TestN19_HiddenPanics(t *testing.T) {
	t.Parallel()
	app := standalone(t, server{game: minefield(t), config: []change{func(c *config.Config) { c.Errors.HidePanics = true }}})
	p := dial(t, app)
	for _, route := range []string{"mines.typed", "mines.raw", "mines.push", "mines.error", "mines.reply"} {
		_, err := p.ask(route, "{}")
		internal(t, err, "internal error")
		require.NotContains(t, err.Error(), "boom")
	}
	_, err := p.ask("mines.argument", "{}")
	require.Equal(t, errs.New(errs.CodeBadRequest, "internal error").Error(), errs.From(err).Error())
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
}

// explosive is a listener that panics.
type explosive struct{ heard chan string }

func (e explosive) AddServer(up cluster.Event) {
	e.heard <- "add " + up.Server.ID
	panic("boom in listener")
}

func (e explosive) RemoveServer(down cluster.Event) {
	e.heard <- "remove " + down.Server.ID
	panic("boom in listener")
}

// TestN19_PanicsOfHooksAndListeners: of sessions and of discovery.
func TestN19_PanicsOfHooksAndListeners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard := make(chan string, 10)
	front := w.build(server{kind: "gate", id: "gate", front: true, game: minefield(t)})
	front.Discovery().AddListener(explosive{heard})
	begin(t, front)
	require.Equal(t, "add gate", <-heard)
	back := w.start(server{kind: "room", id: "back"})
	require.Equal(t, "add back", <-heard)
	sees(t, front, "room", 1)
	end(t, back)
	require.Equal(t, "remove back", <-heard)
	sees(t, front, "room", 0)
	counts(t, front, 3, "cereus_panics_total", "where", "discovery listener")

	p, healthy := dial(t, front), dial(t, front)
	require.Equal(t, "hooked", p.mustAsk("mines.hook", ""))
	require.NoError(t, p.Close())
	until(t, "the session ended", func() bool { return front.Sessions() == 1 })
	require.Equal(t, "hooked", healthy.mustAsk("mines.hook", ""))
	end(t, front)
	require.Equal(t, client.ReasonServer, healthy.ends().Reason)
}
