package cereus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/config"
	"github.com/cereus-game/cereus/errs"
)

// part is a module whose hooks are functions; nil ones do nothing.
type part struct {
	init     func(ctx context.Context) error
	shutdown func(ctx context.Context) error
}

func (p *part) Name() string { return "part" }

func (p *part) Init(ctx context.Context) error { return call(ctx, p.init) }

func (p *part) AfterInit(context.Context) error { return nil }

func (p *part) BeforeShutdown(context.Context) {}

func (p *part) Shutdown(ctx context.Context) error { return call(ctx, p.shutdown) }

func call(ctx context.Context, fn func(context.Context) error) error {
	if fn == nil {
		return nil
	}
	return fn(ctx)
}

func alone(t *testing.T, opts ...cereus.Option) *cereus.App {
	t.Helper()
	app, err := cereus.New(append([]cereus.Option{
		cereus.Backend("room"), cereus.Standalone(), cereus.WithLogger(quiet()),
	}, opts...)...)
	require.NoError(t, err)
	return app
}

// within returns what fn does, or fails the test when that takes too long.
func within(t *testing.T, fn func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		require.FailNow(t, "it does not return")
		return nil
	}
}

// TestShutdownDuringStart: it ends the start, and nothing is up afterwards.
func TestShutdownDuringStart(t *testing.T) {
	t.Parallel()
	for name, heeds := range map[string]bool{"ends": true, "goes on": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := alone(t)
			entered, ups := make(chan struct{}), 0
			require.NoError(t, app.RegisterModule(&part{
				init:     func(context.Context) error { ups++; return nil },
				shutdown: func(context.Context) error { ups--; return nil },
			}))
			require.NoError(t, app.RegisterModule(&part{init: func(ctx context.Context) error {
				close(entered)
				<-ctx.Done()
				if heeds {
					return context.Cause(ctx)
				}
				return nil
			}}))
			started := make(chan error, 1)
			go func() { started <- app.Start(context.Background()) }()
			<-entered
			require.NoError(t, within(t, func() error { return app.Shutdown(context.Background()) }))
			require.ErrorContains(t, within(t, func() error { return <-started }), "shut down")
			require.Zero(t, ups)
		})
	}
}

// TestShutdownGivesUpOnStart: a start that does not end costs no more than ctx allows.
func TestShutdownGivesUpOnStart(t *testing.T) {
	t.Parallel()
	app := alone(t)
	entered, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, app.RegisterModule(&part{init: func(context.Context) error {
		close(entered)
		<-release
		return nil
	}}))
	started := make(chan error, 1)
	go func() { started <- app.Start(context.Background()) }()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, within(t, func() error { return app.Shutdown(ctx) }), context.DeadlineExceeded)
	close(release)
	require.Error(t, within(t, func() error { return <-started }))
}

// TestFailedStartIsBounded: what does not want to go down has shutdown.timeout.
func TestFailedStartIsBounded(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Shutdown.Timeout = 20 * time.Millisecond
	app := alone(t, cereus.WithConfig(cfg))
	require.NoError(t, app.RegisterModule(&part{shutdown: func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}))
	require.NoError(t, app.RegisterModule(&part{init: func(context.Context) error { return errors.New("no luck") }}))
	err := within(t, func() error { return app.Start(context.Background()) })
	require.ErrorContains(t, err, "no luck")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestNamesAreChecked: also those of a server without a cluster, whose type is part of its routes.
func TestNamesAreChecked(t *testing.T) {
	t.Parallel()
	_, err := cereus.New(cereus.Backend("a room"), cereus.Standalone())
	require.ErrorContains(t, err, "server type")
	_, err = cereus.New(cereus.Backend("room"), cereus.Standalone(), cereus.WithID("a/b"))
	require.ErrorContains(t, err, "server id")
}

// TestPushRouteIsChecked: by who pushes, not only by the frontend that could
// do nothing but drop it.
func TestPushRouteIsChecked(t *testing.T) {
	t.Parallel()
	room := newWorld(t).start(server{kind: "room"})
	ctx := context.Background()
	failed, err := room.Push(ctx, cereus.Push{FrontendType: "gate", Route: strings.Repeat("r", 256), Payload: []byte("x")}, "ada", "bob")
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	require.Equal(t, []string{"ada", "bob"}, failed)
	failed, err = room.Push(ctx, cereus.Push{FrontendType: "gate", Route: strings.Repeat("r", 255), Payload: []byte("x")}, "ada")
	require.NoError(t, err)
	require.Empty(t, failed)
}

// nest registers a module while it is registered itself.
type nest struct{ app *cereus.App }

func (n *nest) Routes(r *component.Routes) {
	component.RemoteRaw(r, "echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	_ = n.app.RegisterModule(&part{})
}

// TestRegistrationsMayNest: Routes is the user's code and runs under no lock.
func TestRegistrationsMayNest(t *testing.T) {
	t.Parallel()
	app := alone(t)
	require.NoError(t, within(t, func() error { return app.Register(&nest{app: app}) }))
}

// TestNothingWhereSomethingBelongs: nil is refused by the one who gets it.
func TestNothingWhereSomethingBelongs(t *testing.T) {
	t.Parallel()
	_, err := cereus.New(cereus.Frontend("gate"), cereus.Standalone(), nil, cereus.WithAcceptor(nil),
		cereus.WithHandshakeValidator("age", nil))
	for _, fault := range []string{"option", "WithAcceptor", "WithHandshakeValidator"} {
		require.ErrorContains(t, err, fault)
	}
	require.Error(t, alone(t).RegisterModule(nil))
	require.Error(t, gate(t).OnBound(nil))
}

// doorway is an acceptor that tells when it opens.
type doorway struct {
	acceptor.Acceptor
	opens func()
}

func (d doorway) Serve(handle func(*acceptor.Conn)) error {
	d.opens()
	return d.Acceptor.Serve(handle)
}

// TestClientsComeInWhenTheClusterKnows: backends serve players only of frontends
// that they know.
func TestClientsComeInWhenTheClusterKnows(t *testing.T) {
	t.Parallel()
	var app *cereus.App
	registered := make(chan bool, 1)
	app = newWorld(t).build(server{kind: "gate", front: true, opts: []cereus.Option{cereus.WithAcceptor(doorway{
		acceptor.NewTCP("127.0.0.1:0"), func() { registered <- app.Discovery().Registered() },
	})}})
	begin(t, app)
	require.True(t, <-registered)
}
