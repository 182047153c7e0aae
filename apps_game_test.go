package cereus_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/session"
)

// errNoSession: a handler was called without the player it serves.
var errNoSession = errors.New("no session")

// done is the empty answer: an answer that is nil is a fault of the handler.
func done(err error) ([]byte, error) { return []byte{}, err }

// hall is what the backends of type room serve to players.
type hall struct {
	app    *cereus.App
	groups *group.Groups
}

// Greeting is an argument and a reply that go through the serializer.
type Greeting struct {
	Name string `json:"name"`
	From string `json:"from"`
}

func (h *hall) Routes(r *component.Routes) {
	component.Handle(r, "greet", h.greet)
	component.HandleRaw(r, "whoami", h.whoami)
	component.HandleRaw(r, "login", h.login)
	component.HandleRaw(r, "remember", h.remember)
	component.HandleRaw(r, "recall", h.recall)
	component.HandleRaw(r, "echo", h.echo)
	component.HandleRaw(r, "kickme", h.kickMe)
	component.HandleRaw(r, "enter", h.enter)
	component.HandleRaw(r, "leave", h.leave)
	component.HandleRaw(r, "say", h.say)
	component.HandleRaw(r, "relay", h.relay)
}

func (h *hall) greet(_ context.Context, g *Greeting) (*Greeting, error) {
	if g.Name == "" {
		return nil, errs.New("GAME-1", "nobody to greet").With("field", "name")
	}
	return &Greeting{Name: "hello " + g.Name, From: h.app.Server().ID}, nil
}

func (h *hall) whoami(ctx context.Context, _ []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	return []byte(h.app.Server().ID + "/" + s.Frontend() + "/" + s.UID()), nil
}

func (h *hall) login(ctx context.Context, uid []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	return []byte(s.UID()), s.Bind(ctx, string(uid))
}

func (h *hall) remember(ctx context.Context, what []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	key, value, _ := strings.Cut(string(what), "=")
	if err := s.Set(key, value); err != nil {
		return nil, err
	}
	return done(s.Save(ctx))
}

func (h *hall) recall(ctx context.Context, _ []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	return s.Data(), nil
}

// echo answers twice: with a push from here, and with the answer.
func (h *hall) echo(ctx context.Context, body []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	return body, s.Push(ctx, "onEcho", body)
}

func (h *hall) kickMe(ctx context.Context, _ []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	return done(s.Kick(ctx, "you asked"))
}

func (h *hall) enter(ctx context.Context, name []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	return done(h.groups.Add(ctx, string(name), s.UID()))
}

func (h *hall) leave(ctx context.Context, name []byte) ([]byte, error) {
	s, ok := session.FromContext(ctx)
	if !ok {
		return nil, errNoSession
	}
	return done(h.groups.Remove(ctx, string(name), s.UID()))
}

// say broadcasts "group:text".
func (h *hall) say(ctx context.Context, what []byte) ([]byte, error) {
	name, text, _ := strings.Cut(string(what), ":")
	_, err := h.app.PushToGroup(ctx, cereus.Push{
		FrontendType: "connector", Route: "onSay", Payload: []byte(text),
	}, h.groups, name)
	return done(err)
}

// relay calls on to a backend of another type, with what the caller's context carries.
func (h *hall) relay(ctx context.Context, body []byte) ([]byte, error) {
	ctx, err := cereus.WithValue(ctx, "trail", []string{h.app.Server().ID})
	if err != nil {
		return nil, err
	}
	var out []byte
	err = h.app.RPC(ctx, "match.table.relayed", &out, body)
	return out, err
}

// table is what every backend of the tests serves to servers.
type table struct {
	app *cereus.App

	slow  atomic.Bool // slow waits for the end of the call's time, halffull refuses
	mu    sync.Mutex  // guards notes
	notes []string
}

func (b *table) Routes(r *component.Routes) {
	component.Remote(r, "who", b.who)
	component.RemoteRaw(r, "relayed", b.relayed)
	component.RemoteRaw(r, "left", b.left)
	component.RemoteRaw(r, "hang", b.hang)
	component.RemoteRaw(r, "note", b.note)
	component.RemoteRaw(r, "refuse", b.refuse)
	component.Remote(r, "slow", b.slowly)
	component.Remote(r, "halffull", b.halfFull)
}

func (b *table) who(_ context.Context, g *Greeting) (*Greeting, error) {
	return &Greeting{Name: g.Name, From: b.app.Server().ID}, nil
}

// relayed tells what came along: the value, and whose request this is.
func (b *table) relayed(ctx context.Context, body []byte) ([]byte, error) {
	var trail []string
	if ok, err := cereus.Value(ctx, "trail", &trail); !ok || err != nil {
		return nil, errors.Join(errors.New("the value did not come along"), err)
	}
	if cereus.RequestID(ctx) == "" {
		return nil, errors.New("the request has no id")
	}
	return []byte(strings.Join(trail, ",") + "/" + string(body)), nil
}

// left tells how much of the caller's time is left here.
func (b *table) left(ctx context.Context, _ []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return []byte("none"), nil
	}
	return []byte(time.Until(deadline).String()), nil
}

// hang returns when the caller's time is up.
func (b *table) hang(ctx context.Context, _ []byte) ([]byte, error) {
	<-ctx.Done()
	_, _ = b.note(ctx, []byte("hang over"))
	return nil, context.Cause(ctx)
}

func (b *table) note(_ context.Context, text []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = append(b.notes, string(text))
	return done(nil)
}

func (b *table) noted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.notes...)
}

func (b *table) slowly(ctx context.Context, g *Greeting) (*Greeting, error) {
	if b.slow.Load() {
		<-ctx.Done()
	}
	return b.who(ctx, g)
}

func (b *table) halfFull(ctx context.Context, g *Greeting) (*Greeting, error) {
	if b.slow.Load() {
		return nil, errs.New("GAME-2", "the table is full")
	}
	return b.who(ctx, g)
}

func (b *table) refuse(context.Context, []byte) ([]byte, error) {
	return nil, errs.New("GAME-2", "the table is full").With("seats", "4")
}
