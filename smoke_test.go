package cereus_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus"
	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/protocol"
)

type echoer struct{}

func (echoer) Routes(r *component.Routes) {
	component.HandleRaw(r, "echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
}

func TestSmoke(t *testing.T) {
	app, err := cereus.New(cereus.Frontend("connector"), cereus.Standalone(), cereus.WithTCP("127.0.0.1:0"))
	require.NoError(t, err)
	require.NoError(t, app.Register(&echoer{}, component.WithName("svc")))
	require.NoError(t, app.Start(context.Background()))
	c, err := net.Dial("tcp", app.Addrs()[0].String())
	require.NoError(t, err)
	b, _ := protocol.AppendPacket(nil, protocol.PacketHandshake, []byte(`{}`))
	c.Write(b)
	p, err := protocol.ReadPacket(c, 1<<20)
	require.NoError(t, err)
	fmt.Println(string(p.Body))
	c.Write([]byte{2, 0, 0, 0})
	start := time.Now()
	for i := 1; i < 20000; i++ {
		m := protocol.Message{Type: protocol.MessageRequest, ID: uint64(i), Route: "svc.echo", Data: []byte("hello")}
		b, _ = m.AppendPacketTo(nil, protocol.Encoding{})
		c.Write(b)
		p, err = protocol.ReadPacket(c, 1<<20)
		require.NoError(t, err)
		m, err = protocol.DecodeMessage(p.Body, protocol.Decoding{})
		require.NoError(t, err)
		require.Equal(t, "hello", string(m.Data))
	}
	fmt.Println(time.Since(start) / 20000)
	require.NoError(t, app.Shutdown(context.Background()))
}
