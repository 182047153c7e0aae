package cereus

import (
	"context"
	"errors"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/internal/feed"
	"github.com/cereus-game/cereus/session"
)

// errNoSessions: a backend was asked to watch connections.
var errNoSessions = errors.New("a backend holds no connections: call this on a Frontend, or WatchSessions")

// OnBound has fn run on this frontend for every session that was bound to a
// uid, be it by a handler here or on a backend, when it can be found by its
// uid. In fn, Session.OnClose watches for the end of the connection. An error
// of fn undoes the Bind and goes to its caller; the user's older session has ended
// by then, so check who somebody is before Bind. OnBound must be called before Start.
func (a *App) OnBound(fn session.BindHook) error {
	if a.pool == nil {
		return errNoSessions
	}
	return a.beforeStart(func() error {
		if fn == nil {
			return errors.New("OnBound(nil): pass a function")
		}
		a.pool.OnBound(fn)
		return nil
	})
}

// OnUnbound has fn run on this frontend once for every session that is not bound
// to uid any more: it was unbound, it closed (Session.Ended tells), or an error
// undid its Bind. A Bind that failed before the functions of OnBound heard of it
// is not told. The user may have another session by then. OnUnbound must be called
// before Start.
func (a *App) OnUnbound(fn session.UnbindHook) error {
	if a.pool == nil {
		return errNoSessions
	}
	return a.beforeStart(func() error {
		if fn == nil {
			return errors.New("OnUnbound(nil): pass a function")
		}
		a.pool.OnUnbound(fn)
		return nil
	})
}

// WatchSessions has listener hear of every session that is bound to a uid on a
// frontend of the type, anywhere in the cluster, and of its end: first of those
// that are there, then of each change, once and in the order in which it
// happened on that frontend. What is lost on the way, as when NATS was away, is
// asked for; when the frontend has forgotten it (it keeps 8,192 events), the
// listener hears the difference to what it was told: reason session.ReasonMissed.
// A frontend that is gone for 3 seconds takes its sessions with it: each is
// heard to close, reason session.ReasonGone. Frontends that are not cereus tell
// nothing.
//
// listener is called one call at a time for each frontend, and for several
// frontends at once. A slow one delays what it is told, and nobody else. ctx
// ends at Shutdown. WatchSessions must be called before Start, on any server.
func (a *App) WatchSessions(frontendType string, listener func(ctx context.Context, e session.Event)) error {
	switch {
	case a.discovery == nil:
		return errors.New("a standalone app has no other servers: use OnBound")
	case listener == nil || !cluster.ValidServerName(frontendType):
		return errors.New("WatchSessions needs the type of the frontends and a function")
	}
	return a.beforeStart(func() error {
		w := feed.NewWatch(feed.WatchParams{
			FrontendType: frontendType, Listener: listener,
			Hear: a.server.HearSessions, Ask: a.dispatcher.AskSessions, Log: a.log,
		})
		a.discovery.AddListener(w)
		a.links = append(a.links, w)
		return nil
	})
}
