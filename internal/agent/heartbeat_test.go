package agent

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

const interval = 30 * time.Second

// uneven is by how much the wheel may miss the moment.
const uneven = interval / slots

func TestHeartbeatsAreSentFromAcceptOn(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{0, time.Second, 17 * time.Second, 29*time.Second + 900*time.Millisecond} {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, acceptor.NewMemory(), func(p *HostParams) { p.HandshakeTimeout = time.Hour })
				<-time.After(offset)
				accepted := time.Now()
				c := r.dialMemory()
				for _, after := range []time.Duration{interval, 2 * interval} {
					p := <-c.packets
					require.Equal(t, protocol.PacketHeartbeat, p.kind)
					require.Empty(t, p.body)
					require.InDelta(t, after, p.at.Sub(accepted), float64(uneven))
				}
			})
		})
	}
}

func TestSilentClientsAreClosed(t *testing.T) {
	t.Parallel()
	for _, last := range []time.Duration{0, 100 * time.Millisecond, 10 * time.Second, 59 * time.Second} {
		t.Run(fmt.Sprintf("last packet after %s", last), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, acceptor.NewMemory())
				c := r.dialMemory()
				c.handshake()
				s := r.session()
				<-time.After(last)
				c.send(protocol.PacketHeartbeat, "")
				silent := time.Now()
				require.Error(t, c.end())
				require.GreaterOrEqual(t, time.Since(silent), 2*interval)
				require.LessOrEqual(t, time.Since(silent), 3*interval+2*uneven)
				require.Equal(t, protocol.ReasonTimeout, closed(t, s))
			})
		})
	}
}

// A browser client sends one heartbeat an interval after each of the server's,
// which is every second one (wire.md 2.5).
func TestBrowserHeartbeatsKeepAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, acceptor.NewMemory())
		c := r.dialMemory()
		c.handshake()
		for range 20 {
			p, ok := <-c.packets
			require.True(t, ok)
			require.Equal(t, protocol.PacketHeartbeat, p.kind)
			<-time.After(interval)
			for len(c.packets) > 0 { // it reacts to one of those that came meanwhile
				<-c.packets
			}
			c.send(protocol.PacketHeartbeat, "")
		}
		c.works(1)
	})
}

func TestS01_HandshakeDeadline(t *testing.T) {
	t.Parallel()
	talk := map[string]func(c *client){
		"silent":     func(*client) {},
		"heartbeats": func(c *client) { c.send(protocol.PacketHeartbeat, "") },
		"no ack": func(c *client) {
			c.send(protocol.PacketHandshake, hello)
			require.Equal(c.t, protocol.PacketHandshake, c.next().kind)
		},
	}
	for name, say := range talk {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, acceptor.NewMemory())
				begin := time.Now()
				c := r.dialMemory()
				say(c)
				require.Error(t, c.end())
				require.Equal(t, r.host.HandshakeTimeout, time.Since(begin))
			})
		})
	}
}

// S18: a client that sends no more gets its answers for 5 s.
func TestS18_RequestsInFlightHaveFiveSecondsAfterEOF(t *testing.T) {
	t.Parallel()
	for _, works := range []time.Duration{2 * time.Second, time.Hour} {
		t.Run(works.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, acceptor.NewMemory())
				c := r.dialMemory()
				c.handshake()
				s := r.session()
				c.request(1, "svc.block", "x")
				synctest.Wait()
				begin := time.Now()
				require.NoError(t, c.nc.Close())
				go func() {
					select {
					case <-time.After(works):
						r.game.open()
					case <-s.Context().Done():
					}
				}()
				if reason := closed(t, s); works > drainTime { // else the answer may find the pipe closed
					require.Equal(t, protocol.ReasonLeft, reason)
				}
				require.Equal(t, min(works, drainTime), time.Since(begin))
			})
		})
	}
}

// The reader of a full mailbox does not read: that is not the client's silence.
func TestUnreadPacketsAreLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, acceptor.NewMemory())
		c := r.dialMemory()
		c.handshake()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for id := range uint64(20) {
				c.request(id+1, "svc.block", "x")
			}
		}()
		<-time.After(10 * interval)
		require.Equal(t, 1, r.host.Pool.Count())
		r.game.open()
		for id := range uint64(20) {
			require.Equal(t, id+1, c.answer().ID)
		}
		<-sent
	})
}

// On a socket it is the unread bytes that count: who is silent behind a full
// mailbox is closed like anybody else.
func TestSilenceBehindAFullMailbox(t *testing.T) {
	t.Parallel()
	r := newRig(t, acceptor.NewTCP("127.0.0.1:0"), func(p *HostParams) { p.Heartbeat = 200 * time.Millisecond })
	c := r.dialTCP()
	c.handshake()
	s := r.session()
	fill := func() { // one is served, eight wait, and the reader holds the last
		for id := range uint64(10) {
			c.request(id+1, "svc.block", "x")
		}
	}
	begin := time.Now() // before the last sign of life
	fill()
	require.Equal(t, protocol.ReasonTimeout, closed(t, s))
	require.GreaterOrEqual(t, time.Since(begin), 400*time.Millisecond)

	c = r.dialTCP()
	c.handshake()
	s = r.session()
	fill()
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		<-ticks.C
		c.send(protocol.PacketHeartbeat, "")
		require.NoError(t, s.Context().Err(), "a client that sends is closed")
	}
}

func TestWheelGivesNewcomersAWholeTurn(t *testing.T) {
	t.Parallel()
	w := newWheel(interval)
	for range slots * 2 {
		a := &Agent{}
		require.True(t, w.add(a))
		for n := range slots {
			agents := w.next()
			require.Equal(t, n == slots-1, len(agents) == 1, "turn %d", n)
		}
		w.remove(a)
		w.remove(a)
		w.next()
	}
}
