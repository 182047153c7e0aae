package agent

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/internal/ratelimit"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

func TestS19_FloodOnOneConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Rate = ratelimit.Rate{N: 5, Per: time.Hour} })
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
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Rate = ratelimit.Rate{N: 1, Per: time.Nanosecond} })
	c := r.dialTCP()
	c.handshake()
	for id := range uint64(200) {
		c.works(id + 1)
	}
}

// limited sends until it is told to slow down, and then until it is closed.
func (c *client) limited(from uint64, route string, well int) {
	c.t.Helper()
	id := from
	for range well {
		c.request(id, route, "ping")
		require.False(c.t, c.answer().Err)
		id++
	}
	for range well {
		c.request(id, route, "ping")
		require.Equal(c.t, "PIT-429", c.failure(id))
		id++
	}
	c.request(id, route, "ping")
	require.Error(c.t, c.end())
}

// bound is the session of the latest client, bound to uid.
func (r *rig) bound(uid string) *session.Session {
	r.t.Helper()
	var latest *session.Session
	r.host.Pool.Each(func(s *session.Session) bool {
		if latest == nil || s.ID() > latest.ID() {
			latest = s
		}
		return true
	})
	require.NoError(r.t, latest.Bind(context.Background(), uid))
	return latest
}

func (r *rig) dialFrom(ip byte) *client {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, ip)}, Timeout: patience}
	nc, err := d.Dial("tcp", r.acc.Addr().String())
	require.NoError(r.t, err)
	return newClient(r.t, nc)
}

func TestS19_FloodOfOneAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.AddressRate = ratelimit.Rate{N: 4, Per: time.Hour} })
	neighbour := r.dialFrom(3)
	neighbour.handshake()
	neighbour.works(1)
	first, second := r.dialFrom(2), r.dialFrom(2)
	first.handshake()
	second.handshake()
	first.works(1)
	first.works(2)
	second.works(1) // of the four that they have together
	first.works(3)
	second.request(2, "svc.echo", "x")
	require.Equal(t, "PIT-429", second.failure(2))
	_ = first.nc.Close()
	_ = second.nc.Close()
	require.Eventually(t, func() bool { return r.host.Pool.Count() == 1 }, patience, tick)
	third := r.dialFrom(2) // coming back gives nobody a new allowance
	third.handshake()
	for id := range uint64(4) {
		third.request(id+1, "svc.echo", "x")
		require.Equal(t, "PIT-429", third.failure(id+1))
	}
	third.request(5, "svc.echo", "x")
	require.Error(t, third.end())
	neighbour.works(2)
}

func TestS19_FloodOfOneUser(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.UserRate = ratelimit.Rate{N: 3, Per: time.Hour} })
	neighbour := r.dialTCP()
	neighbour.handshake()
	neighbour.works(1)
	r.bound("bob")
	c := r.dialTCP()
	c.handshake()
	for id := range uint64(10) { // nobody's messages are not counted
		c.works(id + 1)
	}
	old := r.bound("ann")
	c.works(11)
	c.works(12)
	again := r.dialTCP()
	again.handshake()
	again.works(1)
	r.bound("ann") // takes the user from the first, with what is left
	closed := make(chan struct{})
	old.OnClose(func(*session.Session) { close(closed) })
	old.Close("test")
	<-closed
	again.works(2)
	for id := range uint64(3) {
		again.request(id+3, "svc.echo", "x")
		require.Equal(t, "PIT-429", again.failure(id+3))
	}
	again.request(6, "svc.echo", "x")
	require.Error(t, again.end())
	neighbour.works(2)
}

func TestS19_FloodOfOneRoute(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
	neighbour, c, d := r.dialTCP(), r.dialTCP(), r.dialTCP()
	for _, c := range []*client{neighbour, c, d} {
		c.handshake()
	}
	c.limited(1, "svc.rated", 2)
	d.request(1, "svc.rated", "x")
	require.False(t, d.answer().Err)
	d.request(2, "front.svc.rated", "x") // the same by another name
	require.False(t, d.answer().Err)
	for id := range uint64(20) { // who also does other things is told, and stays
		d.request(3+2*id, "svc.rated", "x")
		require.Equal(t, "PIT-429", d.failure(3+2*id))
		d.works(4 + 2*id)
	}
	neighbour.request(1, "svc.rated", "x")
	require.False(t, neighbour.answer().Err)
}

// TestS19_RefusedBeforeInflating: a bomb beyond the rate is an error reply, not
// the end that its inflating would be.
func TestS19_RefusedBeforeInflating(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
		p.Rate = ratelimit.Rate{N: 1, Per: time.Hour}
		p.Decoding = protocol.Decoding{MaxInflated: 100, MaxRatio: 2}
	})
	c := r.dialTCP()
	c.handshake()
	c.works(1)
	bomb, err := (&protocol.Message{Type: protocol.MessageRequest, ID: 2, Route: "svc.echo", Data: make([]byte, 60_000)}).
		AppendPacketTo(nil, protocol.Encoding{CompressAbove: 1})
	require.NoError(t, err)
	_, err = c.nc.Write(bomb)
	require.NoError(t, err)
	require.Equal(t, "PIT-429", c.failure(2))
}

// TestLimitsForgetWhoLeft: users and addresses leave nothing.
func TestLimitsForgetWhoLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) {
		p.UserRate, p.AddressRate = ratelimit.Rate{N: 100, Per: time.Millisecond}, ratelimit.Rate{N: 100, Per: time.Millisecond}
	})
	for i := range 5 {
		c := r.dialFrom(byte(2 + i))
		c.handshake()
		c.works(1)
		r.bound(fmt.Sprint("user-", i))
		c.works(2)
		_ = c.nc.Close()
		require.Eventually(t, func() bool { return r.host.Pool.Count() == 0 }, patience, tick)
	}
	require.Eventually(t, func() bool {
		return r.host.limiters.users.Len()+r.host.limiters.addresses.Len() == 0
	}, patience, tick)
}

// TestS19_SteadyFlood: who is ten times too fast is closed, though every tenth
// message is within the rate.
func TestS19_SteadyFlood(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		batch   int // per twentieth of a second; five are allowed
		closing bool
	}{{50, true}, {7, false}} {
		t.Run(fmt.Sprint(tc.batch), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, acceptor.NewMemory(), func(p *HostParams) { p.Rate = ratelimit.Rate{N: 100, Per: time.Second} })
				c := r.dialMemory()
				c.handshake()
				s := r.session()
				one := encodedMessage(t, protocol.Message{Type: protocol.MessageNotify, Route: "svc.note"})
				for range 400 {
					for range tc.batch {
						_, _ = c.nc.Write(one)
					}
					<-time.After(time.Second / 20)
				}
				if tc.closing {
					require.Equal(t, protocol.ReasonFlood, closed(t, s))
					return
				}
				require.NoError(t, s.Context().Err())
			})
		})
	}
}

// TestS19_FloodOfHeartbeats: what carries no message is bounded without any
// configuration.
func TestS19_FloodOfHeartbeats(t *testing.T) {
	t.Parallel()
	for _, kind := range []protocol.PacketType{protocol.PacketHeartbeat, protocol.PacketHandshakeAck, protocol.PacketKick} {
		r := newRig(t, acceptor.NewTCP("127.0.0.1:0"))
		c := r.dialTCP()
		c.handshake()
		s := r.session()
		c.works(1)
		few := bytes.Repeat(encoded(t, kind, ""), mostEmpty/2)
		_, err := c.nc.Write(few)
		require.NoError(t, err)
		c.works(2)
		require.NoError(t, s.Context().Err())
		flood := bytes.Repeat(few, 200)
		_, _ = c.nc.Write(flood)
		require.Equal(t, protocol.ReasonFlood, closed(t, s))
	}
}

// TestS19_FloodInOneBurst: the errors arrive before the end.
func TestS19_FloodInOneBurst(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Rate = ratelimit.Rate{N: 5, Per: time.Hour} })
	for range 20 {
		c := r.dialTCP()
		c.handshake()
		var burst []byte
		for id := range uint64(11) {
			burst = append(burst, encodedMessage(t, protocol.Message{Type: protocol.MessageRequest, ID: id + 1, Route: "svc.echo"})...)
		}
		_, err := c.nc.Write(burst)
		require.NoError(t, err)
		refused := 0
		for p := range c.packets {
			if m, err := protocol.DecodeMessage(p.body, protocol.Decoding{}); err == nil && p.kind == protocol.PacketData && m.Err {
				refused++
			}
		}
		require.Equal(t, 5, refused)
	}
}
