package client_test

import (
	"net"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

func TestKickIsReported(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{"": "", `{"reason":"banned"}`: "banned", "plain text": "plain text", `{"reason":3}`: "3", `{}`: ""} {
		for _, scheme := range schemes {
			t.Run(scheme+body, func(t *testing.T) {
				t.Parallel()
				c := dial(t, serve(t, scheme, func(p *peer) {
					p.welcome(protocol.HandshakeResponse{})
					p.send(protocol.PacketKick, []byte(body))
					if p.ws != nil {
						_ = p.ws.Close(4001, "bye")
					}
				}))
				reason := ended(t, c)
				require.Equal(t, client.ReasonKicked, reason.Reason)
				require.Equal(t, want, reason.KickReason)
				if scheme == "ws" || scheme == "wss" {
					require.Equal(t, 4001, reason.Status)
					require.Equal(t, "bye", reason.StatusText)
					require.Equal(t, protocol.CloseCode(4001), reason.Code, "the close frame is the server's last word")
				} else {
					require.Equal(t, protocol.CloseKicked, reason.Code)
					require.Equal(t, protocol.AgainNever, reason.Again())
				}
			})
		}
	}
}

func TestKickWithoutCloseEndsToo(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		p.send(protocol.PacketKick, nil)
		p.untilClosed()
	}))
	require.Equal(t, client.ReasonKicked, ended(t, c).Reason)
}

func TestServerCloses(t *testing.T) {
	t.Parallel()
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			c := dial(t, serve(t, scheme, func(p *peer) {
				p.welcome(protocol.HandshakeResponse{})
				p.message()
				if p.ws != nil {
					_ = p.ws.Close(websocket.StatusGoingAway, "restart")
				}
			}))
			_, err := c.RequestRaw(background(t), "a.b.c", nil)
			require.Equal(t, errs.CodeClosed, errs.CodeOf(err))
			var reason *client.CloseError
			require.ErrorAs(t, err, &reason)
			require.Equal(t, client.ReasonServer, reason.Reason)
			require.Equal(t, reason, ended(t, c))
			if scheme == "ws" || scheme == "wss" {
				require.Equal(t, 1001, reason.Status)
				require.Equal(t, "restart", reason.StatusText)
				require.ErrorContains(t, err, "restart")
			}
		})
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		_ = p.conn.(*net.TCPConn).SetLinger(0)
	}))
	reason := ended(t, c)
	require.Equal(t, client.ReasonServer, reason.Reason)
	require.Zero(t, reason.Code)
	require.Equal(t, protocol.AgainAtOnce, reason.Again())
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	beats := make(chan struct{}, 100)
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{Heartbeat: 100 * time.Millisecond})
		for {
			packet, err := protocol.ReadPacket(p.conn, 100)
			if err != nil {
				return
			}
			if packet.Type == protocol.PacketHeartbeat {
				beats <- struct{}{}
			}
		}
	}))
	require.Equal(t, 100*time.Millisecond, c.Heartbeat())
	for range 5 {
		<-beats
	}
	require.Equal(t, client.ReasonHeartbeat, ended(t, c).Reason, "the server never says anything")
}

func TestHeartbeatsKeepAClientAlive(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{Heartbeat: 100 * time.Millisecond})
		for range 30 { // longer than a silent server is endured
			if packet, err := protocol.ReadPacket(p.conn, 100); err != nil || packet.Type != protocol.PacketHeartbeat {
				return
			}
			p.send(protocol.PacketHeartbeat, nil)
		}
		p.push("enough", "")
		p.untilClosed()
	}))
	enough := make(chan struct{})
	c.OnPush(func(string, []byte) { close(enough) })
	select {
	case <-enough:
	case <-c.Done():
		require.NoError(t, c.Err())
	}
}

func TestSlowCallbackIsNoSilentServer(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{Heartbeat: 10 * time.Millisecond})
		p.message() // OnPush was called: the reader runs the callback
		p.push("slow", "")
		m, _ := p.message()
		p.respond(m.ID, "alive")
		p.untilClosed()
	}))
	c.OnPush(func(string, []byte) { <-time.After(1500 * time.Millisecond) })
	require.NoError(t, c.NotifyRaw(background(t), "go", nil))
	got, err := c.RequestRaw(background(t), "a.b.c", nil)
	require.NoError(t, err)
	require.Equal(t, "alive", string(got))
}

func TestServerTalksNonsense(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"packet type":         {9, 0, 0, 0},
		"packet too large":    {4, 0, 16, 1},
		"message type":        {4, 0, 0, 2, 8, 1},
		"empty message":       {4, 0, 0, 0},
		"request":             {4, 0, 0, 4, 0, 1, 1, 'a'},
		"unknown route code":  {4, 0, 0, 3, 7, 0, 1},
		"not zlib":            {4, 0, 0, 4, 0x14, 1, 1, 1},
		"torn in a WebSocket": {4, 0, 0},
	} {
		for _, scheme := range []string{"tcp", "ws"} {
			if name == "torn in a WebSocket" && scheme == "tcp" {
				continue
			}
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				c := dial(t, serve(t, scheme, func(p *peer) {
					p.welcome(protocol.HandshakeResponse{})
					_, _ = p.conn.Write(bytes)
					p.untilClosed()
				}), client.WithMaxPacket(4096))
				require.Equal(t, client.ReasonProtocol, ended(t, c).Reason)
			})
		}
	}
}

func TestBombIsBounded(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		p.say(protocol.Message{Type: protocol.MessagePush, Route: "x", Data: make([]byte, 1<<20)}, protocol.Encoding{CompressAbove: 1})
		p.untilClosed()
	}), client.WithMaxPacket(1<<16))
	require.ErrorIs(t, ended(t, c), protocol.ErrInflateLimit)
}

func TestAckAndUnknownResponsesAreIgnored(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, "tcp", func(p *peer) {
		p.welcome(protocol.HandshakeResponse{})
		p.send(protocol.PacketHandshakeAck, nil)
		p.send(protocol.PacketHandshake, []byte(`{"code":200}`))
		p.respond(1<<40+1, "id beyond 32 bits")
		p.respond(77, "never asked")
		m, _ := p.message()
		p.respond(m.ID, "right")
		p.untilClosed()
	}))
	got, err := c.RequestRaw(background(t), "a.b.c", nil)
	require.NoError(t, err)
	require.Equal(t, "right", string(got))
}

// TestHeartbeatsBeyondReason: one that cannot be doubled is not taken for
// silence, and one without a pause does not keep the client sending.
func TestHeartbeatsBeyondReason(t *testing.T) {
	t.Parallel()
	for announced, want := range map[time.Duration]time.Duration{
		1<<63 - 1e9:      24 * time.Hour,
		time.Microsecond: 10 * time.Millisecond,
	} {
		t.Run(announced.String(), func(t *testing.T) {
			t.Parallel()
			c := dial(t, serve(t, "tcp", func(p *peer) {
				p.welcome(protocol.HandshakeResponse{Heartbeat: announced})
				for m, ok := p.message(); ok; m, ok = p.message() {
					p.respond(m.ID, string(m.Data))
				}
			}))
			require.Equal(t, want, c.Heartbeat())
			var reply string
			require.NoError(t, c.Request(background(t), "a.b", "x", &reply))
			require.NoError(t, c.Err())
		})
	}
}
