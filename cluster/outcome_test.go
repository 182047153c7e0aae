package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
)

// What ended one call is often why its neighbours are cancelled, as in an
// errgroup. It says nothing of them: they may have run.
func TestACauseIsNotTheOutcomeOfTheCancelledCall(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		causes := map[string]error{
			"gone":      errNoResponders,
			"moved":     errEpochOver,
			"timed out": errs.Wrap(errs.CodeTimeout, errNoAnswer),
			"refused":   &refusedError{errs.ErrBusy},
			"maybe":     errMaybe,
		}
		room := backendServer("back-1")
		arrived := make(chan struct{}, len(causes))
		newTestServer(t, join(t, "back"), room, func(in *Incoming) {
			t.Cleanup(in.Discard)
			arrived <- struct{}{}
		})
		client := newTestClient(t, join(t, "front"), time.Minute)
		for name, cause := range causes {
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-arrived
				cancel(cause)
			}()
			_, err := client.Call(ctx, room, userRequest("a.b", nil))
			require.Equal(t, errs.CodeClosed, errs.CodeOf(err), name)
			require.ErrorIs(t, err, cause, name)
			require.False(t, IsUndelivered(err) || IsGone(err) || IsMoved(err), name)
			require.False(t, IsTimedOut(err) || IsRefused(err) || IsMaybe(err), name)
			require.False(t, IsUndelivered(errors.Join(err)), name)
		}
	})
}
