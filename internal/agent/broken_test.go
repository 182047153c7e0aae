package agent

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/protocol"
)

// TestS18_ResetCancelsTheHandler: at once, and a push that fails does, too.
func TestS18_ResetCancelsTheHandler(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	c := r.dialTCP()
	c.handshake()
	s := r.session()
	c.request(1, "svc.block", "x")
	require.Eventually(t, func() bool { return r.game.blocked.Load() == 1 }, patience, tick)
	require.NoError(t, c.nc.(*net.TCPConn).SetLinger(0))
	require.NoError(t, c.nc.Close())
	require.Equal(t, protocol.ReasonBroken, closed(t, s))
	require.Eventually(t, func() bool { return r.d.InFlight() == 0 }, patience, tick, "the handler was told to end")
	require.Zero(t, r.host.Pool.Count())
}

// TestS18_HalfOpen: the client is gone and nobody says so. The connection ends
// after two heartbeats, within three.
func TestS18_HalfOpen(t *testing.T) {
	t.Parallel()
	const interval = 500 * time.Millisecond
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Heartbeat = interval })
	proxy := faultproxy.New(t, r.acc.Addr().String())
	nc, err := net.DialTimeout("tcp", proxy.Addr(), patience)
	require.NoError(t, err)
	c := newClient(t, nc)
	c.handshake()
	s := r.session()
	gone := time.Now() // before the last sign of life
	c.works(1)
	proxy.Pause(faultproxy.Existing)
	require.Equal(t, protocol.ReasonTimeout, closed(t, s))
	took := time.Since(gone)
	require.GreaterOrEqual(t, took, 2*interval)
	require.Less(t, took, 3*interval+5*time.Second, "a slow machine may be late, but not by much")
	proxy.Resume()
}

// TestS18_ResetBehindAFullMailbox: nobody reads the socket then, and yet the
// handler is told long before the next heartbeat.
func TestS18_ResetBehindAFullMailbox(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Heartbeat = time.Hour })
	c := r.dialTCP()
	c.handshake()
	s := r.session()
	for id := range uint64(20) { // one is served, eight wait, and the reader holds the next
		c.request(id+1, "svc.block", "x")
	}
	require.Eventually(t, func() bool { return len(s.InFlight()) == 9 }, patience, tick)
	require.NoError(t, c.nc.(*net.TCPConn).SetLinger(0))
	require.NoError(t, c.nc.Close())
	require.Equal(t, protocol.ReasonBroken, closed(t, s))
	require.Eventually(t, func() bool { return r.d.InFlight() == 0 }, patience, tick)
}
