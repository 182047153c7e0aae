package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// wire is a connection that nobody is at the other end of.
type wire struct{ pool *session.Pool }

func (wire) Push(context.Context, string, any) error { return nil }

func (w wire) Bind(ctx context.Context, s *session.Session, uid string) error {
	return w.pool.Bind(ctx, s, uid)
}

func (wire) Save(context.Context, *session.Session, []byte, []byte) error { return nil }

func (wire) Kick(context.Context, *session.Session, string) error { return nil }

func (wire) Close(string) {}

// TestDoorForgetsWhoLeftInTheDoorway: a connection that ends while it gets its
// name has lost that name when the goodbye is said.
func TestDoorForgetsWhoLeftInTheDoorway(t *testing.T) {
	t.Parallel()
	app, err := cereus.New(cereus.Backend("connector"), cereus.Standalone())
	require.NoError(t, err)
	door := newDoor(app)
	pool := session.NewPool(session.PoolParams{})
	s, err := session.New(session.Params{ID: pool.NextID(), Entity: wire{pool}})
	require.NoError(t, err)
	require.NoError(t, pool.Add(s))
	ready := make(chan struct{})
	pool.OnAfterBind(func(ctx context.Context, s *session.Session, name string) error {
		require.NoError(t, door.Enter(ctx, s, name))
		s.OnClose(func(*session.Session) { close(ready) })
		return errs.ErrClosed
	})
	require.ErrorIs(t, s.Bind(context.Background(), "ada"), errs.ErrClosed)
	s.Close("lost")
	<-ready
	door.leaving.Wait()
	held, err := door.Holds(context.Background(), &People{Names: []string{"ada"}})
	require.NoError(t, err)
	require.Empty(t, held.Names)
}
