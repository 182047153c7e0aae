package dispatch

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestContextOfALocalCall(t *testing.T) {
	t.Parallel()
	type own struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), own{}, "mine"))
	d := &Dispatcher{clock: newClock()}
	ctx := &localContext{Context: parent, dispatcher: d, route: &route{full: "gate.hall.echo"}, at: time.Millisecond}
	require.Equal(t, "mine", ctx.Value(own{}))
	calls := make(chan *Call)
	for range 10 {
		go func() { calls <- FromContext(ctx) }()
	}
	first := <-calls
	require.Equal(t, "gate.hall.echo", first.Route)
	require.NotEmpty(t, first.RequestID())
	for range 9 {
		require.Same(t, first, <-calls)
	}
	cancel()
	require.ErrorIs(t, ctx.Err(), context.Canceled)
}
