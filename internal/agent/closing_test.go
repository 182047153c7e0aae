package agent

import (
	"context"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

// A client that closes a WebSocket is answered with a close frame, behind all
// that waits for it.
func TestCloseFramesAreAnswered(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"))
	for range 10 {
		ws := r.dialWebSocket(ctx)
		require.NoError(t, ws.Write(ctx, websocket.MessageBinary, encoded(t, protocol.PacketHandshake, hello)))
		_, _, err := ws.Read(ctx)
		require.NoError(t, err)
		s := r.session()
		for range 80 {
			require.NoError(t, s.Push(ctx, "p", make([]byte, 10_000)))
		}
		require.NoError(t, ws.Close(4321, "bye"))
		require.Equal(t, protocol.ReasonLeft, closed(t, s))
		require.Eventually(t, func() bool { return r.host.Pool.Count() == 0 }, patience, tick)
	}
}
