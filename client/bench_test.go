package client_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/cereus-game/cereus/client"
	"github.com/cereus-game/cereus/protocol"
)

// mirror is a server that turns every request into its response in place, so
// that the figures are those of the client.
func mirror(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = protocol.ReadPacket(conn, 1<<20)
		hello, _ := protocol.AppendPacket(nil, protocol.PacketHandshake, []byte(`{"code":200,"sys":{"serializer":"json"}}`))
		_, _ = conn.Write(hello)
		_, _ = protocol.ReadPacket(conn, 0)
		in, out := make([]byte, 0, 1<<16), []byte(nil)
		for {
			n, err := conn.Read(in[len(in):cap(in)])
			if err != nil {
				return
			}
			in = in[:len(in)+n]
			packets, _ := protocol.DecodePackets(in)
			out = out[:0]
			used := 0
			for _, p := range packets {
				used += protocol.HeaderSize + len(p.Body)
				m, err := protocol.DecodeMessage(p.Body, protocol.Decoding{})
				if err != nil {
					return
				}
				m.Type = protocol.MessageResponse
				out, _ = m.AppendPacketTo(out, protocol.Encoding{})
			}
			in = in[:copy(in, in[used:])]
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}()
	return l.Addr().String()
}

func BenchmarkGo(b *testing.B) {
	c, err := client.Dial(context.Background(), mirror(b))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	payload := make([]byte, 64)
	window := make(chan struct{}, 256)
	var failed atomic.Int64
	done := func(_ []byte, err error) {
		if err != nil {
			failed.Add(1)
		}
		<-window
	}
	b.ReportAllocs()
	for b.Loop() {
		window <- struct{}{}
		if err := c.Go("room.lobby.echo", payload, done); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(window) {
		window <- struct{}{}
	}
	if failed.Load() > 0 {
		b.Fatal("failed", failed.Load())
	}
}

func BenchmarkRequestRaw(b *testing.B) {
	ctx := context.Background()
	c, err := client.Dial(ctx, mirror(b))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	payload := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.RequestRaw(ctx, "room.lobby.echo", payload); err != nil {
			b.Fatal(err)
		}
	}
}
