package cereus

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

// Module is a long-lived part of an app with the app's lifecycle: Init and
// AfterInit at the start, in the order of registration, BeforeShutdown and
// Shutdown at the end, in reverse. When an Init fails, the modules that were up
// are shut down and the app does not start; Shutdown is not called on the one
// that failed. All methods return when their ctx ends. A panic in one counts as
// its error.
type Module = lifecycle.Module

// ownID has the start wait until no other process holds this server's id, before
// anything subscribes to what is sent to it: two would carry out every call.
type ownID struct{ discovery *cluster.EtcdDiscovery }

func (ownID) Name() string                     { return "own id" }
func (m ownID) Init(ctx context.Context) error { return m.discovery.AwaitID(ctx) }
func (ownID) AfterInit(context.Context) error  { return nil }
func (ownID) BeforeShutdown(context.Context)   {}
func (ownID) Shutdown(context.Context) error   { return nil }

// asModule gives a component the hooks of a module that it has, and empty ones
// for those that it has not.
type asModule struct{ component any }

func (m asModule) Name() string { return fmt.Sprintf("component %T", m.component) }

func (m asModule) Init(ctx context.Context) error {
	if c, ok := m.component.(component.Initializer); ok {
		return c.Init(ctx)
	}
	return nil
}

func (m asModule) AfterInit(ctx context.Context) error {
	if c, ok := m.component.(component.AfterInitializer); ok {
		return c.AfterInit(ctx)
	}
	return nil
}

func (m asModule) BeforeShutdown(ctx context.Context) {
	if c, ok := m.component.(component.BeforeStopper); ok {
		c.BeforeShutdown(ctx)
	}
}

func (m asModule) Shutdown(ctx context.Context) error {
	if c, ok := m.component.(component.Stopper); ok {
		return c.Shutdown(ctx)
	}
	return nil
}
