package session

import (
	"context"
	"fmt"
	"slices"

	"github.com/cereus-game/cereus/errs"
	"github.com/puzpuzpuz/xsync/v4"
)

// BindHook takes part in binding a session to uid.
type BindHook func(ctx context.Context, s *Session, uid string) error

// UnbindHook hears that a session is not bound to uid any more.
type UnbindHook func(ctx context.Context, s *Session, uid string)

// poolHooks are never changed, only replaced.
type poolHooks struct {
	bind, afterBind []BindHook
	unbind          []UnbindHook
}

// OnBind adds a hook that runs before a session can be found by its uid, in
// order of registration: to subscribe to the user's subjects, to announce the
// login. An error stops the Bind. Register hooks before the first Bind.
func (p *Pool) OnBind(fn BindHook) {
	p.addHook(func(h *poolHooks) { h.bind = append(slices.Clone(h.bind), fn) })
}

// OnAfterBind adds a hook that runs when the session can be found by its uid.
// An error undoes the Bind.
func (p *Pool) OnAfterBind(fn BindHook) {
	p.addHook(func(h *poolHooks) { h.afterBind = append(slices.Clone(h.afterBind), fn) })
}

// OnUnbind adds a hook that runs once when a bound session is unbound or leaves
// the pool, and when a Bind is undone whose bind hooks had begun. Another
// session may have the same uid by then: ask ByUID before undoing what is the
// user's rather than the session's.
func (p *Pool) OnUnbind(fn UnbindHook) {
	p.addHook(func(h *poolHooks) { h.unbind = append(slices.Clone(h.unbind), fn) })
}

func (p *Pool) addHook(change func(*poolHooks)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hooks := *p.hooks.Load()
	change(&hooks)
	p.hooks.Store(&hooks)
}

// Bind binds a session of this pool to uid (wire.md 10.3): bind hooks, then the
// index by uid, which takes the uid from a session that had it here, then
// PoolParams.Replaced with that one, then the after-bind hooks. Of two Binds of
// one session one gets [errs.ErrAlreadyBound]; of two sessions with one uid the
// later one has it. A session that leaves the pool meanwhile gives
// [errs.ErrClosed]. After any error the session has no uid.
func (p *Pool) Bind(ctx context.Context, s *Session, uid string) error {
	if err := CheckUID(uid); err != nil {
		return err
	}
	if err := s.beginBind(p); err != nil {
		return err
	}
	err := p.bind(ctx, s, uid)
	if err == nil && s.settleBind(p) {
		return nil
	}
	if err == nil {
		err = errs.ErrClosed
	}
	deleteOwn(p.byUID, uid, s)
	p.runUnbind(context.WithoutCancel(ctx), s, uid)
	s.endBind("")
	return err
}

func (p *Pool) bind(ctx context.Context, s *Session, uid string) error {
	hooks := p.hooks.Load()
	if err := runBind(ctx, hooks.bind, s, uid); err != nil {
		return err
	}
	old, err := p.index(s, uid)
	if err != nil {
		return err
	}
	if old != nil && p.replaced != nil {
		s.guard("replaced callback panicked", func() { p.replaced(old) })
	}
	return runBind(ctx, hooks.afterBind, s, uid)
}

// index makes s the session of uid and returns the one that was.
func (p *Pool) index(s *Session, uid string) (old *Session, err error) {
	p.byUID.Compute(uid, func(was *Session, loaded bool) (*Session, xsync.ComputeOp) {
		// Inside the bucket's lock: a Close that comes later waits for it and then
		// finds s here; one that came before makes commitBind refuse.
		if !s.commitBind(p, uid) {
			err = errs.ErrClosed
			return was, xsync.CancelOp
		}
		if loaded && was != s {
			old = was
		}
		return s, xsync.UpdateOp
	})
	return old, err
}

// Unbind takes the uid of a session of this pool away and calls the unbind
// hooks. [errs.ErrNotBound] when it has none.
func (p *Pool) Unbind(ctx context.Context, s *Session) error {
	uid, err := s.beginUnbind(p)
	if err != nil {
		return err
	}
	deleteOwn(p.byUID, uid, s)
	p.runUnbind(ctx, s, uid)
	s.endBind("")
	return nil
}

func runBind(ctx context.Context, hooks []BindHook, s *Session, uid string) error {
	for _, fn := range hooks {
		if err := callBind(ctx, fn, s, uid); err != nil {
			return err
		}
	}
	return nil
}

func callBind(ctx context.Context, fn BindHook, s *Session, uid string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errs.New(errs.CodeInternal, fmt.Sprint(v))
		}
	}()
	return fn(ctx, s, uid)
}

func (p *Pool) runUnbind(ctx context.Context, s *Session, uid string) {
	for _, fn := range p.hooks.Load().unbind {
		s.guard("unbind hook panicked", func() { fn(ctx, s, uid) })
	}
}
