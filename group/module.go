package group

import (
	"context"
	"errors"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

var _ lifecycle.Module = (*Groups)(nil)

// Name is the module's name.
func (g *Groups) Name() string { return "groups" }

// Init starts the store and waits for it. After an error nothing is left behind.
// Groups are not started again after Shutdown: make others.
func (g *Groups) Init(ctx context.Context) error {
	work := lifecycle.NewGroup(context.WithoutCancel(ctx))
	if !g.work.CompareAndSwap(nil, work) {
		return errors.New("groups were started before: make others with New")
	}
	store, done, err := g.open(ctx)
	if err != nil {
		return errors.Join(err, work.Stop(ctx))
	}
	g.use(store, done)
	g.feed.start(work)
	work.Go("groups.leaver", g.leaver.run)
	sink := Sink{Change: g.feed.tell, Held: g.leaver.hold, Released: g.leaver.release}
	if err := store.Start(ctx, sink); err != nil {
		return errors.Join(err, g.Shutdown(context.WithoutCancel(ctx)))
	}
	return nil
}

// AfterInit does nothing.
func (g *Groups) AfterInit(context.Context) error { return nil }

// BeforeShutdown does nothing: sessions still end in good order after it.
func (g *Groups) BeforeShutdown(context.Context) {}

// Shutdown ends the memberships that this process holds, and all listeners.
// Operations of a store in memory or etcd still work. It may be called again.
func (g *Groups) Shutdown(ctx context.Context) error {
	work, at := g.work.Load(), g.at.Load()
	if work == nil || at == nil {
		return nil
	}
	err := errors.Join(work.Stop(ctx), at.store.Stop(ctx))
	if done := g.at.Swap(&opened{store: at.store}).done; done != nil {
		err = errors.Join(err, done())
	}
	return err
}
