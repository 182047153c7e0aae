package session

import (
	"context"
	"fmt"
)

// OnClose has fn called once when the session closes, after it left the pool
// and its connection was told to close, in order of registration, by the
// goroutine that closes, which others may wait for: fn must not block. On a
// session that is closed fn is called at once. A panic of fn is logged. On a
// backend a session closes only when Close is called there.
func (s *Session) OnClose(fn func(*Session)) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.hooks = append(s.hooks, fn)
	}
	s.mu.Unlock()
	if closed {
		s.runHook(fn)
	}
}

// Close ends the session and its connection. reason is a short constant word
// for logs and metrics. Only the first call does something; every call returns
// without waiting for another one, so it may be made from anywhere, OnClose
// hooks included. What was pushed before is still written, as long as the client
// takes it within the write deadline; nothing is sent after it, the answer of the
// handler that calls it included. On a backend it ends only what stands for the session there:
// the client stays connected, use Kick.
func (s *Session) Close(reason string) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed, s.reason = true, reason
	hooks, left := s.hooks, s.leave()
	s.hooks = nil
	s.mu.Unlock()

	left.forget(s)
	s.guard("session entity panicked", func() { s.entity.Close(reason) })
	s.endLife() // only now: the handlers that it ends must find nobody to answer
	left.unbound(context.WithoutCancel(s.parent), s)
	for _, fn := range hooks {
		s.runHook(fn)
	}
}

func (s *Session) runHook(fn func(*Session)) {
	s.guard("session close hook panicked", func() { fn(s) })
}

// guard runs foreign code that has nobody to report a panic to.
func (s *Session) guard(message string, fn func()) {
	defer func() {
		if v := recover(); v != nil && s.log != nil {
			s.log.WithField("panic", fmt.Sprint(v)).WithField("session", s.id).Error(message)
		}
	}()
	fn()
}

// Ended is why the session was closed, the reason of Close. It reports false
// while the session is open.
func (s *Session) Ended() (reason string, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason, s.closed
}

func (s *Session) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// departure is what a session leaves behind in its pool.
type departure struct {
	pool *Pool  // nil: it was in none
	uid  string // indexed under it
	held bool   // a Bind is under way and will call the unbind hooks itself
}

// leave takes the session out of its pool's ownership. s.mu is held; what the
// pool knows of it is cleared by forget and unbound afterwards.
func (s *Session) leave() departure {
	d := departure{pool: s.pool, uid: s.uid, held: s.binding}
	s.pool = nil
	return d
}

func (d departure) forget(s *Session) {
	if d.pool != nil {
		d.pool.forget(s, d.uid)
	}
}

func (d departure) unbound(ctx context.Context, s *Session) {
	if d.pool != nil && d.uid != "" && !d.held {
		d.pool.tellUnbound(ctx, s, d.uid)
	}
}
