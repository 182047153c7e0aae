package session

import (
	"context"

	"github.com/cereus-game/cereus/errs"
)

// ErrBinding is returned for an Unbind during a Bind or another Unbind of the
// same session.
var ErrBinding = errs.New(errs.CodeConflict, "session is being bound or unbound")

// Bind makes uid the user of the session, so that it can be found, pushed to
// and kicked by uid from anywhere in the cluster. It works once
// ([errs.ErrAlreadyBound], also for the same uid) and needs a legal uid
// ([errs.ErrIllegalUID], see [CheckUID]; in a cluster also one that a NATS
// subject can carry: no white space, no "..", no "*" or ">" between dots). What
// a bind hook of the frontend returns comes back as it is; after any error the
// session is unbound.
func (s *Session) Bind(ctx context.Context, uid string) error {
	if err := CheckUID(uid); err != nil {
		return err
	}
	if !s.backend {
		return s.entity.Bind(ctx, s, uid)
	}
	if err := s.beginBind(nil); err != nil {
		return err
	}
	bound := ""
	defer func() { s.endBind(bound) }() // also when the entity panics
	if err := s.entity.Bind(ctx, s, uid); err != nil {
		return err
	}
	bound = uid
	return nil
}

// Unbind takes the uid away. It works only on the frontend of the session;
// there is no such call on the wire (wire.md 10.3). [errs.ErrNotBound] when
// there is no uid, [ErrBinding] while it is being bound.
func (s *Session) Unbind(ctx context.Context) error {
	if s.backend {
		return errs.New(errs.CodeBadRequest, "a session can be unbound only on its frontend")
	}
	s.mu.Lock()
	pool := s.pool
	s.mu.Unlock()
	if pool == nil {
		return errs.ErrClosed
	}
	return pool.Unbind(ctx, s)
}

// beginBind reserves the session for one Bind. p is the pool that it must be
// in, nil on a backend.
func (s *Session) beginBind(p *Pool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errs.ErrClosed
	case s.pool != p:
		return errs.ErrSessionNotFound
	case s.uid != "" || s.binding:
		return errs.ErrAlreadyBound
	}
	s.binding = true
	return nil
}

// commitBind gives the session its uid, unless it left the pool meanwhile.
func (s *Session) commitBind(p *Pool, uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.pool != p {
		return false
	}
	s.uid = uid
	return true
}

// settleBind ends a Bind that went well. It reports false when the session
// left the pool meanwhile; the Bind must then be undone.
func (s *Session) settleBind(p *Pool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.pool != p {
		return false
	}
	s.binding = false
	return true
}

// endBind ends a Bind or Unbind and leaves the session with uid.
func (s *Session) endBind(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uid, s.binding = uid, false
}

// beginUnbind reserves the session for one Unbind and returns its uid.
func (s *Session) beginUnbind(p *Pool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.pool != p:
		return "", errs.ErrClosed
	case s.binding:
		return "", ErrBinding
	case s.uid == "":
		return "", errs.ErrNotBound
	}
	s.binding = true
	return s.uid, nil
}
