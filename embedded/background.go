package embedded

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// background runs fn, which cannot be interrupted, and closes done behind it.
// The group keeps a straggler; Cluster.Stop waits for it.
func background(work *lifecycle.Group, name string, fn func()) (done <-chan struct{}) {
	ended := make(chan struct{})
	run := func(context.Context) {
		defer close(ended)
		fn()
	}
	if !work.Go(name, run) {
		run(context.Background())
	}
	return ended
}

// await waits for what background runs as long as ctx allows.
func await(ctx context.Context, done <-chan struct{}, name string) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s is still stopping: %w", name, context.Cause(ctx))
	}
}
