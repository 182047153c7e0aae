package session

import (
	"context"

	"github.com/cereus-game/cereus/errs"
)

type contextKey struct{}

// NewContext returns a context that carries s.
func NewContext(ctx context.Context, s *Session) context.Context {
	return context.WithValue(ctx, contextKey{}, s)
}

// FromContext returns the session on whose behalf a handler runs. Remotes have
// none.
func FromContext(ctx context.Context) (*Session, bool) {
	s, ok := ctx.Value(contextKey{}).(*Session)
	return s, ok
}

// life is a session's context and what ends it.
type life struct {
	context.Context //nolint:containedctx // of the session, not of a call
	end             context.CancelCauseFunc
}

// Context carries the session and is done when the session closes, after its
// connection was told to; its cause then matches [errs.ErrClosed] and has the
// reason in its metadata. It is also done when the context that the session was
// made with is.
func (s *Session) Context() context.Context {
	if l := s.life.Load(); l != nil {
		return l.Context
	}
	return s.begin().Context
}

// begin makes the life when it is first asked for: for most sessions it never is.
func (s *Session) begin() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.life.Load(); l != nil {
		return l
	}
	inner, end := context.WithCancelCause(s.parent)
	l := &life{NewContext(inner, s), end}
	if s.over {
		end(closedCause(s.reason))
	}
	s.life.Store(l)
	return l
}

// endLife ends the life, or the one that somebody will ask for.
func (s *Session) endLife() {
	s.mu.Lock()
	s.over = true
	l, reason := s.life.Load(), s.reason
	s.mu.Unlock()
	if l != nil {
		l.end(closedCause(reason))
	}
}

func closedCause(reason string) error { return errs.ErrClosed.With("reason", reason) }
