package acceptor

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestMemoryEcho(t *testing.T) {
	t.Parallel()
	a := NewMemory()
	ends := make(chan error, 1)
	require.Equal(t, "memory", serve(t, a, echo(ends)))
	nc, err := a.Dial(t.Context())
	require.NoError(t, err)
	packet := packetOf(t, protocol.PacketData, make([]byte, 3000))
	go func() { _, _ = nc.Write(packet) }()
	got := make([]byte, len(packet))
	_, err = io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, packet, got)
	require.NoError(t, nc.Close())
	require.ErrorIs(t, receive(t, ends), io.EOF)
}

func TestMemoryDialEnds(t *testing.T) {
	t.Parallel()
	a := NewMemory()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := a.Dial(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, a.Listen(context.Background()))
	require.NoError(t, a.Close())
	_, err = a.Dial(context.Background())
	require.ErrorIs(t, err, ErrClosed)
}

func TestMemoryRunsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewMemory()
		ends := make(chan error, 2)
		require.NoError(t, a.Listen(t.Context()))
		go func() {
			_ = a.Serve(func(c *Conn) {
				_ = c.SetReadDeadline(time.Now().Add(time.Hour))
				_, _, err := c.Next()
				ends <- err
			})
		}()
		begin := time.Now()
		silent, err := a.Dial(t.Context())
		require.NoError(t, err)
		slow, err := a.Dial(t.Context())
		require.NoError(t, err)
		_, err = slow.Write([]byte{byte(protocol.PacketData), 0})
		require.NoError(t, err)
		require.ErrorIs(t, <-ends, ErrSlow)
		require.Equal(t, DefaultHandshakePacket, time.Since(begin))
		require.ErrorIs(t, <-ends, ErrDeadline)
		require.Equal(t, time.Hour, time.Since(begin))
		require.NoError(t, a.Close())
		require.NoError(t, a.Wait(t.Context()))
		_, _ = silent, slow
	})
}
