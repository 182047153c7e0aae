//go:build unix

package cereus_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
)

// TestSignalDuringStartIsKept: a start that takes no notice of its context is
// no reason to forget the signal.
func TestSignalDuringStartIsKept(t *testing.T) {
	t.Parallel()
	app := alone(t, cereus.WithSignals(syscall.SIGWINCH)) // one that nobody else here uses, and that ends nothing
	down := false
	require.NoError(t, app.RegisterModule(&part{
		init: func(ctx context.Context) error {
			if err := syscall.Kill(syscall.Getpid(), syscall.SIGWINCH); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		},
		shutdown: func(context.Context) error { down = true; return nil },
	}))
	require.NoError(t, within(t, func() error { return app.Run(context.Background()) }))
	require.True(t, down)
}
