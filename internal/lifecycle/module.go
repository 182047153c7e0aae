package lifecycle

import "context"

// Module is a long-lived part of an app. Init and AfterInit run at start, in
// order of registration; BeforeShutdown and Shutdown in reverse. All of them
// return when ctx ends.
type Module interface {
	// Name is a constant that logs, health and errors show.
	Name() string
	// Init gets the module ready for others to use. A failed Init must leave
	// nothing behind: Shutdown is not called after it.
	Init(ctx context.Context) error
	// AfterInit runs when every module's Init succeeded.
	AfterInit(ctx context.Context) error
	// BeforeShutdown runs while everything else still works.
	BeforeShutdown(ctx context.Context)
	// Shutdown releases what Init took.
	Shutdown(ctx context.Context) error
}
