package router

import (
	"context"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/route"
)

// Kind says what is called.
type Kind uint8

// The kinds of calls (wire.md 9.1).
const (
	ToHandler Kind = iota + 1 // a client's message, forwarded by its frontend
	ToRemote                  // a call from server to server
)

// String returns "handler" or "remote".
func (k Kind) String() string {
	switch k {
	case ToHandler:
		return "handler"
	case ToRemote:
		return "remote"
	default:
		return "unknown"
	}
}

// Call is what a [Func] may decide by.
type Call struct {
	Route      route.Route
	ServerType string // the type to choose from
	Kind       Kind
	SessionID  int64  // of the client's session on its frontend; 0 for a remote
	UID        string // of the session; "" when it is unbound
	Payload    []byte // the encoded argument; must not be changed
	// Exclude reports the servers that must not be chosen, because the call has
	// just failed there; nil excludes none. Pick has removed them before a custom
	// Func is asked.
	Exclude func(id string) bool
}

// Func chooses one of servers, which are at least one, all of the call's type
// and sorted by id. The slice is shared and must not be changed. The result
// must be one of them; a *cluster.Server with the id of one of them will do. An
// error goes back to the caller as it is.
type Func func(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error)
