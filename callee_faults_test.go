package cereus_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
)

// TestN16_CalleeDiesWhileWorking: nobody can know how far it came, so that the
// call is not made again.
func TestN16_CalleeDiesWhileWorking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front := w.start(server{kind: "connector", front: true})
	killed := w.spawn("room", "killed")
	other := &tally{}
	w.start(server{kind: "room", id: "other", game: func(app *cereus.App) { require.NoError(t, other.register(app)) }})
	sees(t, front, "room", 2)
	outcome := make(chan error, 1)
	begin := time.Now()
	go func() {
		outcome <- front.RPC(context.Background(), "room.tally.hang", nil, nil, cereus.To("killed"), cereus.WithTimeout(2*time.Second))
	}()
	require.Equal(t, "began", killed.line())
	require.NoError(t, killed.cmd.Process.Kill())
	err := <-outcome
	require.Contains(t, []errs.Code{errs.CodeTimeout, errs.CodeUnavailable}, errs.CodeOf(err), "%v", err)
	require.False(t, cluster.IsUndelivered(err) || cluster.IsRefused(err), "it had begun")
	require.Less(t, time.Since(begin), patience/2)
	require.Zero(t, other.ran.Load())
}
