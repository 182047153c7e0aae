package cereus_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/internal/loopback"
	"github.com/cereus-game/cereus/protocol"
)

// TestPausedFrontend: it lets nobody new in, is not ready, and keeps its players.
func TestPausedFrontend(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	port, err := loopback.FreePort()
	require.NoError(t, err)
	address := loopback.Address(port)
	front := newWorld(t).start(server{
		kind: "gate", front: true, opts: []cereus.Option{cereus.WithWebSocket("127.0.0.1:0")},
		config: []change{func(c *config.Config) { c.Admin.Address = address }},
		game: func(app *cereus.App) {
			require.NoError(t, app.Register(rated{}, component.WithName("svc")))
		},
	})
	here := dial(t, front)
	enters := func() bool {
		c, err := client.Dial(ctx, front.Addrs()[0].String())
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	own := front.Discovery()
	for _, state := range []cluster.State{cluster.StatePaused, cluster.StateDraining} {
		require.NoError(t, own.Edit(ctx, cluster.Edit{State: state}))
		until(t, "nobody enters", func() bool { return !enters() })
		require.Equal(t, `503 [{"name":"state","why":"the server is `+string(state)+` and takes no new players"}]`+"\n",
			httpGet(t, "http://"+address+"/readyz"))
		require.Equal(t, "x", here.mustAsk("svc.often", "x"))
		nc, err := net.Dial("tcp", front.Addrs()[0].String())
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
		require.Empty(t, readAll(t, nc), "closed without a kick: the client comes back, elsewhere")
		_ = nc.Close()
		_, err = client.Dial(ctx, "ws://"+front.Addrs()[1].String())
		var end *client.CloseError
		require.ErrorAs(t, err, &end)
		require.Equal(t, protocol.ClosePaused, end.Code)
		own.Resume()
		until(t, "they enter again", enters)
		require.Equal(t, "200 []\n", httpGet(t, "http://"+address+"/readyz"))
	}
}
