package feed

import (
	"context"
	"fmt"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/session"
)

var (
	_ lifecycle.Module = (*Watch)(nil)
	_ cluster.Listener = (*Watch)(nil)
)

// WatchParams are what NewWatch needs. Every field is required.
type WatchParams struct {
	FrontendType string
	// Listener is called one call at a time for each frontend, in the order of its events.
	Listener func(context.Context, session.Event)
	// Hear subscribes to what a frontend publishes.
	Hear func(frontend *cluster.Server, hear func(*clusterpb.SessionEvents)) (stop func(context.Context) error, err error)
	// Ask asks a frontend for what was missed.
	Ask func(ctx context.Context, frontend *cluster.Server, ask *clusterpb.SessionsAsk) (*clusterpb.SessionsTold, error)
	Log logrus.FieldLogger
}

// Watch follows the sessions of all frontends of a type. It is a
// lifecycle.Module and a cluster.Listener.
type Watch struct {
	WatchParams
	group *lifecycle.Group
	ready chan struct{} // closed when everything is up

	mu        sync.Mutex // guards followers, and whether they end
	followers map[string]*follower
}

// NewWatch returns a watch that hears nothing before AfterInit.
func NewWatch(p WatchParams) *Watch {
	return &Watch{
		WatchParams: p, group: lifecycle.NewGroup(context.Background()),
		ready: make(chan struct{}), followers: make(map[string]*follower),
	}
}

// AddServer is of cluster.Listener.
func (w *Watch) AddServer(e cluster.Event) {
	s := e.Server
	if s.Type != w.FrontendType || !s.Frontend || !s.Has(constants.CapSessions) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.followers[s.ID]
	if before != nil && before.server.Nonce == s.Nonce && !before.over {
		before.left = false
		before.setGone(false) // it was away from etcd, and its sessions were not
		return
	}
	f := newFollower(w, s, before)
	w.followers[s.ID] = f
	w.group.Go("sessions of a frontend", f.run)
}

// RemoveServer is of cluster.Listener. Who leaves in order still tells how its
// sessions end; who is silent is gone.
func (w *Watch) RemoveServer(e cluster.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.followers[e.Server.ID]; f != nil && f.server.Nonce == e.Server.Nonce {
		f.left = e.Reason == cluster.ReasonLeft || e.Reason == cluster.ReasonReplaced
		f.setGone(true)
	}
}

// giveUp has f follow its frontend no longer. It reports false when that came back.
func (w *Watch) giveUp(f *follower) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.over = f.gone
	return f.over
}

// forget is of an f that told its last.
func (w *Watch) forget(f *follower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.followers[f.server.ID] == f {
		delete(w.followers, f.server.ID)
	}
}

// Name says what the module is.
func (w *Watch) Name() string { return "session watch" }

// Init does nothing.
func (w *Watch) Init(context.Context) error { return nil }

// AfterInit begins to listen.
func (w *Watch) AfterInit(context.Context) error {
	close(w.ready)
	return nil
}

// BeforeShutdown does nothing.
func (w *Watch) BeforeShutdown(context.Context) {}

// Shutdown ends the listening and waits for the listener to return.
func (w *Watch) Shutdown(ctx context.Context) error { return w.group.Stop(ctx) }

// call tells the listener.
func (w *Watch) call(ctx context.Context, e session.Event) {
	defer func() {
		if p := recover(); p != nil {
			w.Log.WithField("panic", fmt.Sprint(p)).WithField("kind", e.Kind.String()).Error("a session listener panicked")
		}
	}()
	w.Listener(ctx, e)
}
