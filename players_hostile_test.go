package cereus_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/protocol"
)

// hello is what comes before the first message.
func hello() []byte {
	return append(packet(protocol.PacketHandshake, "{}"), packet(protocol.PacketHandshakeAck, "")...)
}

// ended reads until the server closes: in order, or with a reset where it had
// not read everything.
func ended(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := bytes.NewBuffer(nil).ReadFrom(conn)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the server did not close the connection")
}

// TestS03_DamagedMessages: every truncation and every bit flip of what a client
// says, every flag byte, and a number that does not end. A client that sends it
// is answered or closed; nobody panics, and the neighbour plays on.
func TestS03_DamagedMessages(t *testing.T) {
	t.Parallel()
	app := standalone(t, server{game: halls(t)})
	neighbour := dial(t, app)
	var said [][]byte // the body of a data packet, each on a connection of its own
	for _, m := range []protocol.Message{
		{Type: protocol.MessageRequest, ID: 300, Route: "hall.echo", Data: []byte("hi")},
		{Type: protocol.MessageNotify, Route: "hall.echo", Data: []byte("hi")},
	} {
		whole, err := m.AppendTo(nil, protocol.Encoding{})
		require.NoError(t, err)
		for n := range whole {
			said = append(said, whole[:n])
		}
		for bit := range 8 * len(whole) {
			flipped := bytes.Clone(whole)
			flipped[bit/8] ^= 1 << (bit % 8)
			said = append(said, flipped)
		}
	}
	for flag := range 256 {
		said = append(said, []byte{byte(flag), 1, 1, 'a', 'x'}, []byte{byte(flag), 1})
	}
	said = append(said, append([]byte{0}, bytes.Repeat([]byte{0xff}, 40)...), []byte{0, 1})
	for i, body := range said {
		conn := dialRaw(t, app)
		conn.send(hello(), packet(protocol.PacketData, string(body)))
		require.NoError(t, conn.Conn.(*net.TCPConn).CloseWrite())
		ended(t, conn)
		_ = conn.Close()
		if i%50 == 0 {
			require.Equal(t, "x", neighbour.mustAsk("hall.echo", "x"))
		}
	}
	require.Equal(t, "x", neighbour.mustAsk("hall.echo", "x"))
	until(t, "the others are gone", func() bool { return app.Sessions() == 1 })
	require.Zero(t, metric(t, app, "cereus_panics_total"))
	require.NotZero(t, metric(t, app, "cereus_protocol_errors_total"))
}

// bomb is a message that inflates to 50 MiB of zeros and fits in a packet.
func bomb(t *testing.T) []byte {
	t.Helper()
	const size = 1 << 20
	var block bytes.Buffer
	w, err := flate.NewWriter(&block, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, size))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	body := append([]byte{0x10, 7, 9}, "hall.echo"...) // a request, deflated
	return append(append(body, 0x78, 0x9c), bytes.Repeat(block.Bytes(), 50)...)
}

// TestS05_BombsOfClients: each ends at the cap, before its bytes are there. It
// does not run beside other tests, whose memory would count.
func TestS05_BombsOfClients(t *testing.T) {
	app := standalone(t, server{game: halls(t)})
	neighbour := dial(t, app)
	whole := bomb(t)
	require.Less(t, len(whole), 64<<10, "else the limit of packets is what is tested")
	for name, c := range map[string]struct {
		body []byte
		kind string
	}{
		"whole":    {whole, protocol.ErrInflateLimit.Error()},
		"cut":      {whole[:len(whole)/2], protocol.ErrInflateLimit.Error()},
		"a header": {whole[:14], "other"},
	} {
		attack := append(hello(), packet(protocol.PacketData, string(c.body))...)
		refused := metric(t, app, "cereus_protocol_errors_total", "kind", c.kind)
		for range 10 {
			conn := dialRaw(t, app)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			conn.send(attack)
			ended(t, conn)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2<<20), name)
			_ = conn.Close()
		}
		counts(t, app, refused+10, "cereus_protocol_errors_total", "kind", c.kind)
		require.Equal(t, "x", neighbour.mustAsk("hall.echo", "x"))
	}
	until(t, "they are gone", func() bool { return app.Sessions() == 1 })
}

// TestS27_ClientsMakeUpRoutes: 10,000 different routes, here, behind the
// frontend and of types that nobody has, give no series.
func TestS27_ClientsMakeUpRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := w.start(server{kind: "room", game: halls(t)})
	front := w.start(server{kind: "gate", front: true, game: halls(t)})
	sees(t, front, "room", 1)
	players := make([]*player, 20)
	for i := range players {
		players[i] = dial(t, front)
		players[i].mustAsk("room.hall.whoami", "")
	}
	invent := func(from, to int) {
		var all sync.WaitGroup
		for i, p := range players {
			all.Go(func() {
				for n := from + i; n < to; n += len(players) {
					route := []string{"made.up%d", "hall.up%d", "room.made.up%d", "room.hall.up%d", "up%d.hall.echo"}[n%5]
					if _, err := p.ask(fmt.Sprintf(route, n), "x"); err == nil {
						t.Errorf("route %d is there", n)
					}
				}
			})
		}
		all.Wait()
	}
	invent(0, 200)
	few := series(t, front) + series(t, room)
	invent(200, 10_000)
	require.LessOrEqual(t, series(t, front)+series(t, room), few+20, "some series are new with time, not with routes")
}

// series is how many an app has.
func series(t *testing.T, app *cereus.App) (n int) {
	t.Helper()
	families, err := app.Metrics().Registry().Gather()
	require.NoError(t, err)
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}
