package cereus

import (
	"context"

	"github.com/cereus-game/cereus/internal/dispatch"
)

// Delivery is what is known of a user to whom something was pushed.
type Delivery int

const (
	// DeliveryUnknown says that not every frontend of the type told, and that those
	// that did do not have the user. A frontend may have been away, or crashed within the last
	// minute, or it is a Pitaya one, or none is known. The push may have arrived.
	DeliveryUnknown Delivery = iota
	// DeliveryOffline says that no frontend of the type has the user: all of them told.
	DeliveryOffline
	// DeliveryDropped says that the user is there, and that the push, which was
	// Droppable, was left out because the client does not read fast enough.
	DeliveryDropped
	// DeliveryOnline says that the push is in the queue of the user's connection.
	// Whether the client read it only the client can tell.
	DeliveryOnline
)

// String is "unknown", "offline", "dropped" or "online".
func (d Delivery) String() string {
	switch d {
	case DeliveryOffline:
		return "offline"
	case DeliveryDropped:
		return "dropped"
	case DeliveryOnline:
		return "online"
	}
	return "unknown"
}

// Deliver is Push that tells of every user what became of it. It waits for an
// answer of each frontend of the type, until ctx ends or for the time of a call
// (requesttimeout). It costs a request per frontend where Push costs one message
// for all, and keeps no order with pushes that are made before it returned. The
// error is that of a push that cannot be made at all.
func (a *App) Deliver(ctx context.Context, p Push, uids ...string) (map[string]Delivery, error) {
	frontendType, err := a.frontendType(p.FrontendType)
	if err != nil {
		return nil, err
	}
	found, err := a.dispatcher.Deliver(ctx, frontendType, p.parcel(), uids)
	if err != nil {
		return nil, err
	}
	all := make(map[string]Delivery, len(found))
	for uid, what := range found {
		all[uid] = delivery(what)
	}
	return all, nil
}

func delivery(d dispatch.Delivery) Delivery {
	switch d {
	case dispatch.DeliveryOffline:
		return DeliveryOffline
	case dispatch.DeliveryDropped:
		return DeliveryDropped
	case dispatch.DeliveryOnline:
		return DeliveryOnline
	}
	return DeliveryUnknown
}
