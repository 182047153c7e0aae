package cereus_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
)

// tally is a component that counts what runs.
type tally struct{ ran atomic.Int64 }

func (c *tally) Routes(r *component.Routes) {
	component.RemoteRaw(r, "add", func(context.Context, []byte) ([]byte, error) {
		c.ran.Add(1)
		return done(nil)
	})
	component.RemoteRaw(r, "count", func(context.Context, []byte) ([]byte, error) {
		return strconv.AppendInt(nil, c.ran.Load(), 10), nil
	})
	component.RemoteRaw(r, "hang", func(ctx context.Context, _ []byte) ([]byte, error) {
		c.ran.Add(1)
		fmt.Println("began") // the test hears it when this is a child
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	component.RemoteRaw(r, "slow", func(context.Context, []byte) ([]byte, error) {
		c.ran.Add(1)
		fmt.Println("began")
		<-time.After(300 * time.Millisecond)
		return done(nil)
	})
}

func (c *tally) register(app *cereus.App) error {
	return app.RegisterRemote(c, component.WithName("tally"))
}

// counted is how many calls ran on a server.
func counted(t *testing.T, app *cereus.App, on string) int {
	t.Helper()
	var out []byte
	require.NoError(t, app.RPC(context.Background(), "room.tally.count", &out, nil, cereus.To(on)))
	n, err := strconv.Atoi(string(out))
	require.NoError(t, err)
	return n
}
