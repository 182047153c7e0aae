package cluster

import (
	"context"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// TellSessions publishes what happened to the sessions of self, a frontend, for
// whoever hears it. Its errors are those of the other publications.
func (c *RPCClient) TellSessions(self *Server, events *clusterpb.SessionEvents) error {
	return c.send(c.subjects.sessions(self.Type, self.ID), events)
}

// HearSessions has hear called with what the frontend publishes, in order, one
// call at a time, until stop is called. hear must not block, and owns what it
// is given.
func (s *RPCServer) HearSessions(frontend *Server, hear func(*clusterpb.SessionEvents)) (stop func(context.Context) error, err error) {
	cancel, err := s.transport.subscribe(subscription{
		subject: s.subjects.sessions(frontend.Type, frontend.ID),
		deliver: func(m message) {
			events := new(clusterpb.SessionEvents)
			if s.decode(m.data, events) {
				s.guard("sessions", func() { hear(events) })
			}
		},
	})
	return cancel, err
}
