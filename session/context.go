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

// Context carries the session and is done when the session closes; its cause
// then matches [errs.ErrClosed] and has the reason in its metadata. It is also
// done when the context that the session was made with is.
func (s *Session) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		// Made when first asked for: most sessions never are.
		inner, cancel := context.WithCancelCause(s.parent)
		s.ctx, s.cancel = NewContext(inner, s), cancel
		if s.closed {
			cancel(closedCause(s.reason))
		}
	}
	return s.ctx
}

func closedCause(reason string) error { return errs.ErrClosed.With("reason", reason) }
