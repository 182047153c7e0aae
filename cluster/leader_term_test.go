package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

func TestTerm_NoTaskBeginsInOneThatEnds(t *testing.T) {
	t.Parallel()
	lease := &leaseTerm{born: time.Now()}
	lease.confirmed(1, time.Now(), time.Minute)
	over := newTerm(context.Background(), leadership{token: 7, lease: 1}, lease)
	require.True(t, over.enter())
	over.end(ErrLeadershipLost) // as the first thing that finish does
	require.False(t, over.enter())
	over.leave()
	require.True(t, over.finish(context.Background(), time.Minute))
}

// When renewals are confirmed so late that the lease is not certain meanwhile,
// the leader stops; when they are in time again it leads again, though nothing
// changed in etcd.
func TestLeader_AfterALateRenewal(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t).EtcdEndpoints()[0])
	p := etcdParams(backend("a"), proxy.Addr())
	p.TTL = time.Second
	d := newEtcd(t, p)
	register(t, d)
	eventually(t, d.IsLeader, "leads")
	proxy.Shape(faultproxy.Down, faultproxy.Shape{Delay: 800 * time.Millisecond})
	eventually(t, func() bool { return !d.IsLeader() }, "not for certain")
	proxy.Shape(faultproxy.Down, faultproxy.Shape{})
	eventually(t, func() bool { return d.Registered() && d.IsLeader() }, "leads again")
}
