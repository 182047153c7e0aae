package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
)

func TestS19_FloodOnOneConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Rate, p.Burst = 0.001, 5 })
	neighbour := r.dialTCP()
	neighbour.handshake()
	neighbour.works(1)
	n := r.session()
	c := r.dialTCP()
	c.handshake()
	for id := range uint64(5) {
		c.works(id + 1)
	}
	for id := range uint64(5) { // told so
		c.request(id+6, "svc.echo", "x")
		require.Equal(t, "PIT-429", c.failure(id+6))
	}
	c.request(11, "svc.echo", "x")
	require.Error(t, c.end())
	neighbour.works(2)
	require.NoError(t, n.Context().Err())
}

func TestRateIsPerSecond(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Rate, p.Burst = 1e9, 1 })
	c := r.dialTCP()
	c.handshake()
	for id := range uint64(200) {
		c.works(id + 1)
	}
}
