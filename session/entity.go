package session

import "context"

// Entity is what a session can do to the outside: a frontend's connection, or
// a backend's way back to the frontend. Its methods are called without any
// lock held and by many goroutines.
type Entity interface {
	// Push sends v to the client under route.
	Push(ctx context.Context, route string, v any) error
	// Bind makes uid the user of the session: on a frontend by way of Pool.Bind,
	// on a backend with sys.bindsession (wire.md 10.2). uid passed CheckUID.
	Bind(ctx context.Context, s *Session, uid string) error
	// Save brings data to the frontend. changes is a JSON object of the keys set
	// since the last successful Save, null for the deleted ones; all is the whole
	// data, for frontends that only know sys.pushsession. Backends only.
	Save(ctx context.Context, s *Session, changes, all []byte) error
	// Kick tells the client that it must go and why, and closes its connection.
	Kick(ctx context.Context, s *Session, reason string) error
	// Close closes the client's connection. It is called once, must not block and
	// may call Session.Close, which then does nothing.
	Close(reason string)
}
