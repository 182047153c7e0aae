package dispatch

import "github.com/cereus-game/cereus/session"

// A forward that waits for a place at another server must not keep handlers of
// this one from running (N21): between two servers no order is promised. What
// waits is overtaken by the first message for a handler here, and travels with
// the session as it was before that ran.

// facts are what travels of a session.
type facts struct {
	uid  string
	data []byte // never changed
}

func factsOf(s *session.Session) facts { return facts{s.UID(), s.Data()} }

// facts are those of the session when it was the message's turn.
func (m *message) facts(s *session.Session) facts {
	if m.then != nil {
		return *m.then
	}
	return factsOf(s)
}

// canOvertakeLocked reports whether there is a message to serve while a forward waits.
func (b *Inbox) canOvertakeLocked() bool {
	i := b.queue.firstLocal()
	return i >= 0 && (b.beside < b.d.Limits.SessionWindow || !b.queue.at(i).route.concurrent())
}

// overtakeLocked takes that message out of the queue.
func (b *Inbox) overtakeLocked() message {
	i := b.queue.firstLocal()
	var then *facts
	for n := range i {
		ahead := b.queue.at(n)
		if ahead.then == nil {
			if then == nil {
				now := factsOf(b.session)
				then = &now
			}
			ahead.then = then
		}
	}
	for _, again := range b.retries {
		if again.m.then == nil {
			now := factsOf(b.session)
			again.m.then = &now
		}
	}
	m := b.queue.remove(i)
	b.madeRoomLocked()
	return m
}
