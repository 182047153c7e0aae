package cereus

import (
	"context"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/group"
	"github.com/cereus-game/cereus/internal/dispatch"
)

// errFrontendType: a backend has no frontend type of its own to push to.
var errFrontendType = errs.New(errs.CodeInternal,
	"a backend has no frontend type of its own: set Push.FrontendType (of Kick: frontendType) to the type of the users' frontends")

// Push is a message from the server to clients.
type Push struct {
	// FrontendType is the type of the frontends that hold the users. It is
	// required on a backend; "" on a frontend means its own.
	FrontendType string
	// Route names the message to clients, at most 255 bytes.
	Route string
	// Payload goes through the app's serializer, []byte as it is.
	Payload any
	// Priority says what may happen to the push while a client does not read; the
	// zero value is Must. A Pitaya frontend takes every push for one that must arrive.
	Priority Priority
	// Key is of priority Latest only, at most 255 bytes: a newer push takes the
	// place of an unsent one of the same key; "" is the route.
	Key string
}

// Priority says what a frontend may do with a push that waits because its client
// does not read.
type Priority int

const (
	// Must is never left out: when its connection's queue is full (buffer.agent in the
	// configuration), the connection is closed as slow.
	Must Priority = iota
	// Droppable is left out, and counted, while the queue is more than half full.
	Droppable
	// Latest gives way to a newer push of the same key. It is written behind all
	// that was queued before the newer one, and what is queued after it may pass it.
	// The newest of each key is never left out: as one that must arrive, it closes a
	// connection whose queue is full.
	Latest
)

func (p *Push) parcel() dispatch.Parcel {
	return dispatch.Parcel{Route: p.Route, Payload: p.Payload, Priority: dispatch.Priority(p.Priority), Key: p.Key}
}

// Push sends p to the users with the given uids, wherever they are connected.
// It returns the uids to which it could not be sent, with the reason. A user
// who is not online is no failure in a cluster: nobody answers for the others
// (wire.md 10.4). An error without a uid says that all are here, and that sessions
// which they may have elsewhere are not reached.
func (a *App) Push(ctx context.Context, p Push, uids ...string) (failed []string, err error) {
	frontendType, err := a.frontendType(p.FrontendType)
	if err != nil {
		return uids, err
	}
	return a.dispatcher.PushToUsers(ctx, frontendType, p.parcel(), uids)
}

// PushToGroup sends p to every member that the group has now. Its results are
// those of Push, or the error of reading the members.
func (a *App) PushToGroup(ctx context.Context, p Push, groups *group.Groups, name string) (failed []string, err error) {
	members, err := groups.Members(ctx, name)
	if err != nil || len(members) == 0 {
		return nil, err
	}
	return a.Push(ctx, p, members...)
}

// Kick closes the connections of the users, who are on frontends of the given
// type (required on a backend; "" on a frontend means its own). Its results are those of Push. The
// reason reaches the clients, "" gives none; a Pitaya frontend only tells them to go.
func (a *App) Kick(ctx context.Context, frontendType, reason string, uids ...string) (failed []string, err error) {
	frontendType, err = a.frontendType(frontendType)
	if err != nil {
		return uids, err
	}
	return a.dispatcher.KickUsers(ctx, frontendType, reason, uids)
}

func (a *App) frontendType(given string) (string, error) {
	switch {
	case given != "":
		return given, nil
	case a.self.Frontend:
		return a.self.Type, nil
	}
	return "", errFrontendType
}
