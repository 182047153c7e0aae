package registry

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/embedded"
)

// A Deregister that comes in the moment between etcd's answer and the end of
// Register leaves nothing behind.
func TestRegister_DeregisteredMeanwhile(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	etcd, err := embedded.Start(ctx, embedded.WithoutNATS())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, etcd.Stop(context.Background())) })
	r, err := New(Params{Endpoints: etcd.EtcdEndpoints(), BootTimeout: 20 * time.Second})
	require.NoError(t, err)
	require.NoError(t, r.Init(ctx))
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	own, err := r.enlist(cluster.Enlistment{Self: &cluster.Server{ID: "l1", Type: "login"}})
	require.NoError(t, err)
	require.NoError(t, own.Register(ctx))
	require.NoError(t, r.Deregister(ctx, "login", "l1"))
	require.Equal(t, "l1", r.enter(own, Instance{Name: "login", ID: "l1"}))
	_, err = r.Register(ctx, Instance{Name: "login", ID: "l1"})
	require.NoError(t, err)
}
