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
	// Key is what the caller wants to be kept on one server, such as the name of a
	// room (cereus.WithKey); "" for none.
	Key string
	// Frontend and SessionID are those of the client's session for whom the call is
	// made; "" and 0 when it is made for none.
	Frontend  string
	SessionID int64
	UID       string // of the session; "" when it is unbound
	Build     string // the client's build number, from its handshake; "" when it is not known
	Payload   []byte // the encoded argument; must not be changed

	meetings *meetings // of the Router that asks
}

// Func chooses one of servers, which are at least one, all of the call's type
// and sorted by id. The slice is shared and must not be changed. The result
// must be one of them; a *cluster.Server with the id of one of them will do. An
// error goes back to the caller as it is.
//
// A Func may hand the call on to a policy of this package, with servers or with
// some of them. A policy works out once per slice what it needs to know, so
// keep slices of your own and reuse them: with a new one for every call, each
// call costs time in proportion to its length.
type Func func(ctx context.Context, c Call, servers []*cluster.Server) (*cluster.Server, error)

// LoadFunc tells how busy a server is: 0 is idle, and twice as much is twice as
// busy. It is asked for every call and must neither block nor allocate. What is
// not a number counts as the heaviest load, what is below 0 as none.
//
// The calls that this process has in flight to the server are the best measure,
// because they are known at once. What the server reported adds what others do,
// but is old: with more than about a tenth of the weight of own calls it makes
// all callers run after the server that was idle a second ago.
type LoadFunc func(s *cluster.Server) float64

// ofSession reports whether the call is made for a client's session.
func (c *Call) ofSession() bool { return c.Frontend != "" || c.SessionID != 0 }
