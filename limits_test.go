package cereus_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
)

// rated is a component with a route that each session may call twice.
type rated struct{}

func (rated) Routes(r *component.Routes) {
	echo := func(_ context.Context, b []byte) ([]byte, error) { return b, nil }
	component.HandleRaw(r, "rare", echo, component.WithRate(2, time.Hour))
	component.HandleRaw(r, "often", echo)
}

// TestS19_RouteOfABackend: the server that has the handler counts per session.
func TestS19_RouteOfABackend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	game := func(app *cereus.App) { require.NoError(t, app.Register(rated{}, component.WithName("svc"))) }
	w.start(server{kind: "room", game: game})
	front := w.start(server{kind: "gate", front: true, game: game})
	sees(t, front, "room", 1)
	for range 2 {
		p := dial(t, front)
		for _, route := range []string{"room.svc.rare", "gate.svc.rare"} {
			require.Equal(t, "x", p.mustAsk(route, "x"))
			require.Equal(t, "x", p.mustAsk(route, "x"))
			_, err := p.ask(route, "x")
			require.ErrorIs(t, err, errs.ErrRateLimited, route)
			require.Equal(t, "x", p.mustAsk("room.svc.often", "x"))
		}
	}
}

// TestS19_ConfiguredLimits: each key does what it says.
func TestS19_ConfiguredLimits(t *testing.T) {
	t.Parallel()
	begun := func(change func(*config.Config)) *cereus.App {
		c := config.Default()
		change(c)
		return standalone(t, server{kind: "gate", front: true, game: func(app *cereus.App) {
			require.NoError(t, app.Register(rated{}, component.WithName("svc")))
		}}, cereus.WithConfig(c))
	}
	refused := func(app *cereus.App) {
		nc, err := net.Dial("tcp", app.Addrs()[0].String())
		require.NoError(t, err)
		defer nc.Close()
		require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
		require.Empty(t, readAll(t, nc))
	}
	for name, change := range map[string]func(*config.Config){
		"connections": func(c *config.Config) { c.Conn.Limits.Connections = 1 },
		"per address": func(c *config.Config) { c.Conn.Limits.PerAddress = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := begun(change)
			p := dial(t, app)
			refused(app)
			require.Equal(t, "x", p.mustAsk("svc.often", "x"))
			_ = p.Close()
			until(t, "there is room again", func() bool {
				again, err := client.Dial(context.Background(), app.Addrs()[0].String())
				if err == nil {
					_ = again.Close()
				}
				return err == nil
			})
		})
	}
	t.Run("rate per address", func(t *testing.T) {
		t.Parallel()
		app := begun(func(c *config.Config) {
			c.Conn.RateLimiting.Address = config.SharedRate{Limit: 2, Interval: time.Hour}
		})
		dial(t, app).mustAsk("svc.often", "x")
		dial(t, app).mustAsk("svc.often", "x")
		_, err := dial(t, app).ask("svc.often", "x")
		require.ErrorIs(t, err, errs.ErrRateLimited)
	})
	t.Run("switched off", func(t *testing.T) {
		t.Parallel()
		app := begun(func(c *config.Config) {
			c.Conn.RateLimiting.Address = config.SharedRate{Limit: 1, Interval: time.Hour}
			c.Conn.RateLimiting.ForceDisable = true
		})
		p := dial(t, app)
		p.mustAsk("svc.often", "x")
		p.mustAsk("svc.often", "x")
	})
}

// TestLimitsOfAnAcceptorAddToTheConfiguration: one that is set in code takes
// none of the others away.
func TestLimitsOfAnAcceptorAddToTheConfiguration(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Conn.Limits.Packet = 1 << 10
	app, err := cereus.New(cereus.Frontend("gate"), cereus.Standalone(), cereus.WithConfig(c), cereus.WithLogger(quiet()),
		cereus.WithTCP("127.0.0.1:0", acceptor.WithLimits(acceptor.Limits{Packet: patience})))
	require.NoError(t, err)
	require.NoError(t, app.Register(rated{}, component.WithName("svc")))
	begin(t, app)
	p := dial(t, app)
	require.Equal(t, "x", p.mustAsk("svc.often", "x"))
	_, err = p.ask("svc.often", strings.Repeat("x", 10<<10))
	var ended *client.CloseError
	require.ErrorAs(t, err, &ended)
}
