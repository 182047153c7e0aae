package cluster

// EventKind says what kind of change an Event tells of.
type EventKind string

// The kinds of events.
const (
	EventUp     EventKind = "up"     // a server is there
	EventUpdate EventKind = "update" // a server that stays is another than before
	EventDown   EventKind = "down"   // a server is gone
	EventLeader EventKind = "leader" // a type has another leader, or none
)

// Reason says why something changed.
type Reason string

// The reasons, by the kind of event that has them.
const (
	// ReasonPresent of an up: the server was there before this process, or this
	// listener, came.
	ReasonPresent Reason = "present"
	// ReasonJoined of an up: nothing was known of the server.
	ReasonJoined Reason = "joined"
	// ReasonReturned of an up: the server was known as gone, or this is a new run of it.
	ReasonReturned Reason = "returned"

	// ReasonChanged of an update: what the server says of itself (state, weight, metadata).
	ReasonChanged Reason = "changed"
	// ReasonUnreachable of an update: calls find nobody there.
	ReasonUnreachable Reason = "unreachable"
	// ReasonReachable of an update: that is over.
	ReasonReachable Reason = "reachable"

	// ReasonLeft of a down: the server said goodbye.
	ReasonLeft Reason = "left"
	// ReasonCrashed of a down: the server is gone without a word.
	ReasonCrashed Reason = "crashed"
	// ReasonReplaced of a down: another run has the server's id.
	ReasonReplaced Reason = "replaced"

	// ReasonElected of a leader: it is the longest registered.
	ReasonElected Reason = "elected"
	// ReasonChosen of a leader: it was set by hand.
	ReasonChosen Reason = "chosen"
	// ReasonVacant of a leader: there is none.
	ReasonVacant Reason = "vacant"
)

// Event is one change of the cluster as this process sees it.
type Event struct {
	Kind   EventKind
	Reason Reason
	// Type is of the server, or the type whose leader changed.
	Type string
	// Server is the server as it is now; of a down its last value, with StateLeft or
	// StateSuspect; of a leader event the leader, nil when there is none or it is not
	// known yet. It is shared: do not change it.
	Server *Server
	// Before is what the server was; of an update only.
	Before *Server
	// Token is the fencing token; of a leader event only.
	Token int64
	// Revision is that of etcd, or of the in-memory registry, at which this was so.
	// It does not fall from one event to the next, except when etcd lost its history.
	// What a listing told has that of the listing. What only this process noticed (ReasonUnreachable, ReasonReachable) has the
	// revision of its view then.
	Revision int64
	// Seq is the event's place in this process's history, rising by one. Events that
	// only one listener hears, of what was present when it came, all have the place
	// of the last event before it came.
	Seq uint64
}

// Listener hears every net change of the servers present, once and in order.
// Its methods are called one at a time on a goroutine of the listener's own,
// so a slow one delays nobody else; a panic in one is logged and survived.
//
// A server that restarts is heard as RemoveServer, then AddServer.
type Listener interface {
	// AddServer tells of a server that came (EventUp).
	AddServer(e Event)
	// RemoveServer tells of a server that is gone (EventDown). Its Reason tells a
	// farewell from a crash.
	RemoveServer(e Event)
}

// ServerUpdater is what a Listener also implements when it wants to hear that
// a server which stays changed (EventUpdate).
type ServerUpdater interface {
	UpdateServer(e Event)
}

// LeaderListener is what a Listener also implements when it wants to hear who
// leads a type (EventLeader). It first hears of the leaders there are.
type LeaderListener interface {
	LeaderChanged(e Event)
}

// leaderEvent tells that l leads its type, or with no ID that nobody does.
func leaderEvent(s *Snapshot, l Leader) Event {
	e := Event{Kind: EventLeader, Reason: ReasonElected, Type: l.Type, Token: l.Token, Revision: s.revision, Seq: s.seq}
	if l.ByHand {
		e.Reason = ReasonChosen
	}
	if l.ID == "" {
		e.Reason = ReasonVacant
		return e
	}
	if led, ok := s.Server(l.ID); ok && led.Type == l.Type {
		e.Server = led
	}
	return e
}
