package cereus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/session"
)

func TestOnBoundSeesWhoComesAndWhoGoes(t *testing.T) {
	t.Parallel()
	app, err := cereus.New(cereus.Frontend("connector"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"))
	require.NoError(t, err)
	came, went := make(chan string, 1), make(chan string, 1)
	require.NoError(t, app.OnBound(func(_ context.Context, s *session.Session, uid string) error {
		if uid == "mallory" {
			return errors.New("not you")
		}
		came <- uid
		s.OnClose(func(s *session.Session) { went <- s.UID() })
		return nil
	}))
	require.NoError(t, app.Register(loginDesk{}, component.WithName("desk")))
	require.NoError(t, app.Start(t.Context()))
	defer func() { require.NoError(t, app.Shutdown(context.Background())) }()
	require.ErrorIs(t, app.OnBound(nil), cereus.ErrStarted)

	c, err := client.Dial(t.Context(), app.Addrs()[0].String())
	require.NoError(t, err)
	_, err = c.RequestRaw(t.Context(), "connector.desk.login", []byte("mallory"))
	require.ErrorContains(t, err, "not you")
	_, err = c.RequestRaw(t.Context(), "connector.desk.login", []byte("ada"))
	require.NoError(t, err)
	require.Equal(t, "ada", <-came)
	require.NoError(t, c.Close())
	select {
	case uid := <-went:
		require.Equal(t, "ada", uid)
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nobody heard of the end")
	}
}

func TestOnUnboundSeesUnbindsAndEnds(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 2)
	app := standalone(t, server{game: func(app *cereus.App) {
		desk(t)(app)
		require.Error(t, app.OnUnbound(nil))
		require.NoError(t, app.OnUnbound(func(_ context.Context, s *session.Session, uid string) {
			reason, closed := s.Ended()
			heard <- fmt.Sprint(uid, " ", closed, " ", reason)
		}))
		require.NoError(t, app.OnBound(func(ctx context.Context, s *session.Session, uid string) error {
			if uid == "mallory" {
				return errors.New("not you")
			}
			return nil
		}))
	}})
	ann := dial(t, app)
	_, err := ann.RequestRaw(t.Context(), "desk.login", []byte("mallory"))
	require.Error(t, err)
	require.Equal(t, "mallory false ", <-heard)
	ann.mustAsk("desk.login", "ann")
	_, err = app.Kick(t.Context(), "", "", "ann")
	require.NoError(t, err)
	require.Equal(t, "ann true kicked", <-heard)
}

// TestOnUnboundOfRefusedBinds: of a player who could not be bound, be it for the
// uid or because etcd cannot be asked, the game does not hear.
func TestOnUnboundOfRefusedBinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	etcd := faultproxy.New(t, hostOf(w.infra.EtcdEndpoints()[0]))
	heard := make(chan string, 10)
	gate := w.start(server{kind: "gate", front: true, game: func(app *cereus.App) {
		halls(t)(app)
		require.NoError(t, app.OnBound(func(_ context.Context, _ *session.Session, uid string) error {
			heard <- "bound " + uid
			return nil
		}))
		require.NoError(t, app.OnUnbound(func(_ context.Context, _ *session.Session, uid string) { heard <- "unbound " + uid }))
	}, config: []change{func(c *config.Config) {
		c.Cluster.SD.Etcd.Endpoints, c.Cluster.SD.Etcd.OnLoss = []string{etcd.Addr()}, "fence"
	}}})
	p := dial(t, gate)
	_, err := p.ask("hall.login", "a b") // no subject of NATS can carry it
	require.ErrorIs(t, err, errs.ErrIllegalUID)
	etcd.Pause(faultproxy.All)
	_, err = p.ask("hall.login", "bob")
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err))
	etcd.Resume()
	until(t, "a login is let in", func() bool { _, err := p.ask("hall.login", "ann"); return err == nil })
	require.NoError(t, p.Close())
	require.Equal(t, "bound ann", <-heard)
	require.Equal(t, "unbound ann", <-heard)
	require.Empty(t, heard)
}

func TestOnBoundIsForFrontends(t *testing.T) {
	t.Parallel()
	app, err := cereus.New(cereus.Backend("room"), cereus.Standalone())
	require.NoError(t, err)
	require.ErrorContains(t, app.OnUnbound(func(context.Context, *session.Session, string) {}), "Frontend")
	require.ErrorContains(t, app.OnBound(func(context.Context, *session.Session, string) error { return nil }), "Frontend")
}

type loginDesk struct{}

func (loginDesk) Routes(r *component.Routes) {
	component.HandleRaw(r, "login", func(ctx context.Context, uid []byte) ([]byte, error) {
		s, _ := session.FromContext(ctx)
		return []byte{}, s.Bind(ctx, string(uid))
	})
}
