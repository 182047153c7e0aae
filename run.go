package cereus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// Run starts the app, waits until ctx ends, a signal of WithSignals comes or
// the server cannot go on, and shuts it down within shutdown.timeout. It
// returns nil after an orderly end, and otherwise every fault.
func (a *App) Run(ctx context.Context) error {
	signals := make(chan os.Signal, 2)
	if len(a.opts.signals) > 0 {
		signal.Notify(signals, a.opts.signals...)
		defer signal.Stop(signals)
	}
	starting, stop := untilSignal(ctx, signals, "stopped before the server was up", 0)
	err := a.Start(starting)
	stopped := stop()
	if err != nil {
		return err
	}
	var cause error
	if stopped == nil { // else a signal, or the end of ctx, came when the start could not be stopped any more
		cause = a.wait(ctx, signals)
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), a.config.Shutdown.Timeout,
		fmt.Errorf("shutdown took longer than %s (key shutdown.timeout)", a.config.Shutdown.Timeout))
	defer cancel()
	ctx, stop = untilSignal(ctx, signals, "shutdown cut short", repeatTime)
	defer func() { _ = stop() }()
	return errors.Join(cause, a.Shutdown(ctx))
}

// wait returns when the app has to stop, and why if that is a fault.
func (a *App) wait(ctx context.Context, signals <-chan os.Signal) error {
	select {
	case <-ctx.Done():
		return nil
	case s := <-signals:
		a.log.WithField("signal", s.String()).Info("stopping; a second signal stops at once")
		return nil
	case cause := <-a.appDieChan:
		a.log.WithError(cause).Error("this server cannot go on")
		return cause
	}
}

// repeatTime is how long after a signal another one is taken for the same: some
// supervisors signal a process and its group, both at once.
const repeatTime = time.Second

// untilSignal is ctx, cancelled as soon as a signal comes that is no repetition.
// The function ends the waiting for one and returns why the context had ended by
// then, if it had.
func untilSignal(ctx context.Context, signals <-chan os.Signal, what string, repeats time.Duration) (context.Context, func() error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := lifecycle.NewGroup(ctx)
	begin := time.Now()
	watch.Go("signals", func(ctx context.Context) {
		for {
			select {
			case s := <-signals:
				if time.Since(begin) >= repeats {
					cancel(fmt.Errorf("%s by signal %s", what, s))
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() error {
		_ = watch.Stop(context.Background()) // its only goroutine ends at once
		defer cancel(nil)
		return context.Cause(ctx)
	}
}
