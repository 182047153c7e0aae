package cereus

import (
	"errors"

	"github.com/cereus-game/cereus/session"
)

// errNoSessions: a backend was asked to watch connections.
var errNoSessions = errors.New("a backend holds no connections: call OnBound on a Frontend")

// OnBound has fn run on this frontend for every session that was bound to a
// uid, be it by a handler here or on a backend, when it can be found by its
// uid. In fn, Session.OnClose watches for the end of the connection. An error
// of fn undoes the Bind and goes to its caller. OnBound must be called before Start.
func (a *App) OnBound(fn session.BindHook) error {
	if a.pool == nil {
		return errNoSessions
	}
	return a.beforeStart(func() error {
		if fn == nil {
			return errors.New("OnBound(nil): pass a function")
		}
		a.pool.OnAfterBind(fn)
		return nil
	})
}
