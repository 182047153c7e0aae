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
	bind, afterBind, bound []BindHook
	unbind, unbound        []UnbindHook
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

// OnBound adds a hook that runs when all after-bind hooks went well: for who is
// to hear of binds that hold. An error undoes the Bind.
func (p *Pool) OnBound(fn BindHook) {
	p.addHook(func(h *poolHooks) { h.bound = append(slices.Clone(h.bound), fn) })
}

// OnUnbound adds a hook that runs after the unbind hooks, but not for a Bind
// that was undone before the hooks of OnBound began.
func (p *Pool) OnUnbound(fn UnbindHook) {
	p.addHook(func(h *poolHooks) { h.unbound = append(slices.Clone(h.unbound), fn) })
}

func (p *Pool) addHook(change func(*poolHooks)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hooks := *p.hooks.Load()
	change(&hooks)
	p.hooks.Store(&hooks)
}

// Bind binds a session of this pool to uid (wire.md 10.3): bind hooks, then the
// index by uid, which takes the uid from those sessions that the policy leaves no
// place, then PoolParams.Replaced with each of them, then the after-bind hooks,
// then those of OnBound. Of two Binds of one session one gets
// [errs.ErrAlreadyBound]; of two sessions with one uid, of which there may be one,
// the later one has it. A session that leaves the pool meanwhile gives
// [errs.ErrClosed]. After any error the session has no uid.
func (p *Pool) Bind(ctx context.Context, s *Session, uid string) error {
	if err := p.check(uid); err != nil {
		return err
	}
	if err := s.beginBind(p); err != nil {
		return err
	}
	if err := p.bind(ctx, s, uid); err != nil {
		p.undo(context.WithoutCancel(ctx), s, uid, p.tellUndone)
		return err
	}
	if err := p.settle(ctx, s, uid); err != nil {
		p.undo(context.WithoutCancel(ctx), s, uid, p.tellUnbound)
		return err
	}
	return nil
}

func (p *Pool) check(uid string) error {
	if err := CheckUID(uid); err != nil || p.checkUID == nil {
		return err
	}
	return p.checkUID(uid)
}

func (p *Pool) bind(ctx context.Context, s *Session, uid string) error {
	hooks := p.hooks.Load()
	if err := runBind(ctx, hooks.bind, s, uid); err != nil {
		return err
	}
	gone, err := p.index(s, uid)
	if err != nil {
		return err
	}
	if p.replaced != nil {
		gone.each(func(old *Session) { s.guard("replaced callback panicked", func() { p.replaced(old) }) })
	}
	return runBind(ctx, hooks.afterBind, s, uid)
}

// settle lets the bound hooks hear of a Bind that goes well, and ends it.
func (p *Pool) settle(ctx context.Context, s *Session, uid string) error {
	if err := runBind(ctx, p.hooks.Load().bound, s, uid); err != nil {
		return err
	}
	if !s.settleBind(p) {
		return errs.ErrClosed
	}
	return nil
}

// undo takes the uid away; tell is who hears of it.
func (p *Pool) undo(ctx context.Context, s *Session, uid string, tell func(context.Context, *Session, string)) {
	p.unseat(uid, s)
	tell(ctx, s, uid)
	s.endBind("")
}

// index makes s a session of uid and returns those that are not any more.
func (p *Pool) index(s *Session, uid string) (gone seats, err error) {
	p.byUID.Compute(uid, func(was seats, _ bool) (now seats, _ xsync.ComputeOp) {
		// Inside the bucket's lock: a Close that comes later waits for it and then
		// finds s here; one that came before makes commitBind refuse.
		if !s.commitBind(p, uid) {
			err = errs.ErrClosed
			return was, xsync.CancelOp
		}
		now, gone = p.policy.add(was, s)
		return now, xsync.UpdateOp
	})
	return gone, err
}

// Unbind takes the uid of a session of this pool away and calls the unbind
// hooks. [errs.ErrNotBound] when it has none.
func (p *Pool) Unbind(ctx context.Context, s *Session) error {
	uid, err := s.beginUnbind(p)
	if err != nil {
		return err
	}
	p.undo(ctx, s, uid, p.tellUnbound)
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

// tellUnbound tells all hooks, of a Bind that came as far as the bound hooks.
func (p *Pool) tellUnbound(ctx context.Context, s *Session, uid string) {
	p.tellUndone(ctx, s, uid)
	runUnbind(ctx, p.hooks.Load().unbound, s, uid)
}

// tellUndone tells those who may have begun to take part in a Bind.
func (p *Pool) tellUndone(ctx context.Context, s *Session, uid string) {
	runUnbind(ctx, p.hooks.Load().unbind, s, uid)
}

func runUnbind(ctx context.Context, hooks []UnbindHook, s *Session, uid string) {
	for _, fn := range hooks {
		s.guard("unbind hook panicked", func() { fn(ctx, s, uid) })
	}
}
