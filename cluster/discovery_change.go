package cluster

import "cmp"

// change is what one id was and is; nil is nobody.
type change struct {
	id            string
	before, after *Server
	reason        Reason // of the update or up that it is, when that is known
	revision      int64
	first         int64 // the revision of the first update that made a difference to anybody; 0 when none did

	leads *leadership // of a type that may have another leader; then there is no id

	// last is how the run that before is of ended, and why; they matter when after is
	// not of that run.
	last *Server
	why  Reason
}

// leap is from when to when the changes that this one is made of were, which it
// does not tell; an empty one when they were at one revision.
func (c *change) leap() leap {
	if c.first == 0 {
		return leap{}
	}
	return leap{from: c.first - 1, to: c.revision}
}

// present reports whether a server counts as being in the cluster.
func present(s *Server) bool { return s != nil && !s.gone }

// alike reports whether nobody is told anything when an id that was a is b.
func alike(a, b *Server) bool {
	return present(a) == present(b) && (!present(a) || a.equal(b))
}

func same(a, b *Server) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.equal(b)
}

// stays reports whether one run was there and still is.
func (c *change) stays() bool {
	return present(c.before) && present(c.after) && sameRun(c.before, c.after)
}

// follow is told who the id is after one more update. What became of the first
// run is kept, so that a farewell is told as one even when another run came at
// once.
func (c *change) follow(next *Server, revision int64) {
	if c.first == 0 && !alike(c.after, next) {
		c.first = revision
	}
	c.after, c.revision = next, revision
	switch {
	case !present(c.before):
	case c.stays():
		c.last = nil
	case c.last == nil:
		c.last, c.why = ended(c.before, next)
	}
}

// ended is how a run ended when next is what came right after it, and why.
func ended(run, next *Server) (*Server, Reason) {
	switch {
	case present(next) || !sameRun(run, next):
		return run.departed(StateSuspect), ReasonReplaced
	case next.State == StateLeft:
		return next, ReasonLeft
	}
	return next, ReasonCrashed
}

// appendEvents adds what has to be told of the change: nothing when nobody can
// tell the difference, and of a run that follows another that the first is gone
// and the second there.
func (c *change) appendEvents(events []Event) []Event {
	if c.stays() {
		if c.before.equal(c.after) {
			return events
		}
		e := c.event(EventUpdate, cmp.Or(c.reason, ReasonChanged), c.after)
		e.Before = c.before
		return append(events, e)
	}
	if present(c.before) {
		events = append(events, c.event(EventDown, c.why, c.last))
	}
	if present(c.after) {
		reason := ReasonReturned
		if c.before == nil {
			reason = cmp.Or(c.reason, ReasonJoined)
		}
		events = append(events, c.event(EventUp, reason, c.after))
	}
	return events
}

func (c *change) event(kind EventKind, reason Reason, s *Server) Event {
	return Event{Kind: kind, Reason: reason, Type: s.Type, Server: s, Revision: c.revision}
}
