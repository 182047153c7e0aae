package session

// Event is a change of a user's session on a frontend, as other servers hear it.
type Event struct {
	Kind     EventKind
	Frontend string // id of the frontend
	Session  int64  // id of the session, which its frontend uses once in a run
	UID      string
	Reason   string // why it closed; [ReasonMissed] and [ReasonGone] are of the listener's side
}

// EventKind says what happened.
type EventKind int

// The kinds of an Event.
const (
	// EventBound: the session was bound to UID.
	EventBound EventKind = iota + 1
	// EventUnbound: it is not bound any more, and may be open.
	EventUnbound
	// EventClosed: the bound session was closed.
	EventClosed
)

// String names the kind.
func (k EventKind) String() string {
	switch k {
	case EventBound:
		return "bound"
	case EventUnbound:
		return "unbound"
	case EventClosed:
		return "closed"
	}
	return "unknown"
}

const (
	// ReasonMissed of an EventUnbound: the session ended while nothing could be
	// heard of its frontend for so long that how it ended is forgotten.
	ReasonMissed = "missed"
	// ReasonGone of an EventClosed: the frontend is gone, and its sessions with it.
	ReasonGone = "frontend gone"
)
