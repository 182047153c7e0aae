package agent

import (
	"bytes"
	"context"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/internal/dispatch"
	"github.com/cereus-game/cereus/protocol"
)

func (r *rig) dialWebSocket(ctx context.Context) *websocket.Conn {
	r.t.Helper()
	ws, resp, err := websocket.Dial(ctx, "ws://"+r.acc.Addr().String()+"/", nil)
	require.NoError(r.t, err)
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	r.t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(1 << 20)
	return ws
}

// Pongs go between the frames of a broadcast, never into one.
func TestPongsBetweenPushes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"), func(p *HostParams) { p.QueueMessages, p.QueueBytes = 1<<20, 64<<20 })
	ws := r.dialWebSocket(ctx)
	require.NoError(t, ws.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketHandshake, hello)))
	_, got, err := ws.Read(ctx)
	require.NoError(t, err)
	require.Contains(t, string(got), `"code":200`)
	require.NoError(t, ws.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketHandshakeAck, "")))
	s := r.session()

	const count = 3000
	pinged := make(chan error, 1)
	go func() {
		for range 8 { // more in a second are not answered
			if err := ws.Ping(ctx); err != nil {
				pinged <- err
				return
			}
		}
		pinged <- nil
	}()
	go func() {
		for number := range uint32(count) {
			_ = s.Entity().(*Agent).WritePacket(dispatch.Packet{Bytes: pushed(t, numbered(number, 500))})
		}
	}()
	for number := range uint32(count) {
		kind, got, err := ws.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, websocket.MessageBinary, kind)
		require.Equal(t, pushed(t, numbered(number, 500)), got)
	}
	ended := make(chan error, 1)
	go func() { // pongs are read by somebody who reads
		_, _, err := ws.Read(ctx)
		ended <- err
	}()
	require.NoError(t, <-pinged)
	require.NoError(t, s.Push(ctx, "p", bytes.Repeat([]byte("x"), 100)))
	require.NoError(t, <-ended)
}

func TestWebSocketIsToldWhy(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"))
	refused := r.dialWebSocket(ctx)
	require.NoError(t, refused.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketHandshake, "{")))
	_, got, err := refused.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, r.host.refused, got)
	_, _, err = refused.Read(ctx)
	require.Equal(t, websocket.StatusCode(protocol.CloseRefused), websocket.CloseStatus(err), "%v", err)

	early := r.dialWebSocket(ctx)
	require.NoError(t, early.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketData, "x")))
	_, _, err = early.Read(ctx)
	require.Equal(t, websocket.StatusProtocolError, websocket.CloseStatus(err), "%v", err)

	kicked := r.dialWebSocket(ctx)
	require.NoError(t, kicked.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketHandshake, hello)))
	_, _, err = kicked.Read(ctx)
	require.NoError(t, err)
	require.NoError(t, r.session().Kick(ctx, ""))
	_, got, err = kicked.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, encoded(t, protocol.PacketKick, ""), got)
	_, _, err = kicked.Read(ctx)
	require.Equal(t, websocket.StatusCode(protocol.CloseKicked), websocket.CloseStatus(err), "%v", err)

	why := r.dialWebSocket(ctx)
	require.NoError(t, why.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketHandshake, hello)))
	_, _, err = why.Read(ctx)
	require.NoError(t, err)
	require.NoError(t, r.session().Kick(ctx, "banned"))
	_, got, err = why.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, encoded(t, protocol.PacketKick, `{"reason":"banned","code":4200}`), got)
	_, _, err = why.Read(ctx)
	require.Equal(t, websocket.CloseError{Code: 4200, Reason: "banned"}, *closeError(t, err))
}

func closeError(t *testing.T, err error) *websocket.CloseError {
	t.Helper()
	var e websocket.CloseError
	require.ErrorAs(t, err, &e)
	return &e
}
