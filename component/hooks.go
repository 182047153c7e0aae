package component

import "context"

// Initializer is a component that gets ready before anything else of its
// server runs: when Init returns an error the app does not start.
type Initializer interface {
	Init(ctx context.Context) error
}

// AfterInitializer is a component that wants to know when every module and
// component has been initialized.
type AfterInitializer interface {
	AfterInit(ctx context.Context) error
}

// BeforeStopper is a component that wants to work while everything still does:
// calls, pushes and sessions are alive when BeforeShutdown runs.
type BeforeStopper interface {
	BeforeShutdown(ctx context.Context)
}

// Stopper is a component that releases what its Init took.
type Stopper interface {
	Shutdown(ctx context.Context) error
}
