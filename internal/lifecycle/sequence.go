package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Sequence runs the lifecycle of modules: up in order, down in reverse. It is
// used by one goroutine at a time.
type Sequence struct {
	// Patience bounds the taking down of what is up after a Start that failed;
	// 0 does not.
	Patience time.Duration

	modules []Module
	up      []Module
}

// Add appends modules. It has no effect on those that are up.
func (s *Sequence) Add(m ...Module) { s.modules = append(s.modules, m...) }

// Start calls every Init and then every AfterInit. When one fails, what is up
// is shut down again within Patience, also when ctx has ended.
func (s *Sequence) Start(ctx context.Context) error {
	for _, m := range s.modules {
		if err := guarded(func() error { return m.Init(ctx) }); err != nil {
			return s.unwind(ctx, fmt.Errorf("%s: %w", m.Name(), err))
		}
		s.up = append(s.up, m)
	}
	for _, m := range s.up {
		if err := guarded(func() error { return m.AfterInit(ctx) }); err != nil {
			return s.unwind(ctx, fmt.Errorf("%s: after init: %w", m.Name(), err))
		}
	}
	return nil
}

// unwind takes down what is up, also when the start ran out of its time.
func (s *Sequence) unwind(ctx context.Context, cause error) error {
	ctx = context.WithoutCancel(ctx)
	if s.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Patience)
		defer cancel()
	}
	return errors.Join(cause, s.Shutdown(ctx))
}

// BeforeShutdown calls it on every module that is up: on first, if that is one
// of them, and then on the others in reverse.
func (s *Sequence) BeforeShutdown(ctx context.Context, first Module) error {
	order := slices.Clone(s.up)
	slices.Reverse(order)
	if i := slices.Index(order, first); i >= 0 {
		order = slices.Insert(slices.Delete(order, i, i+1), 0, first)
	}
	var faults []error
	for _, m := range order {
		err := guarded(func() error { m.BeforeShutdown(ctx); return nil })
		faults = append(faults, named(m, err))
	}
	return errors.Join(faults...)
}

// Shutdown shuts every module down that is up, in reverse, whatever the others say.
func (s *Sequence) Shutdown(ctx context.Context) error {
	var faults []error
	for _, m := range slices.Backward(s.up) {
		faults = append(faults, named(m, guarded(func() error { return m.Shutdown(ctx) })))
	}
	s.up = nil
	return errors.Join(faults...)
}

// ShutdownFirst shuts m down ahead of the others, if it is up.
func (s *Sequence) ShutdownFirst(ctx context.Context, m Module) error {
	i := slices.Index(s.up, m)
	if i < 0 {
		return nil
	}
	s.up = slices.Delete(slices.Clone(s.up), i, i+1)
	return named(m, guarded(func() error { return m.Shutdown(ctx) }))
}

func named(m Module, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", m.Name(), err)
}

// guarded turns a panic of a module into its error.
func guarded(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn()
}
