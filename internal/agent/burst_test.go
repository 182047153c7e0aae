package agent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/acceptor"
	"github.com/cereus-game/cereus/protocol"
)

// maskedFrame is a client's WebSocket frame with a mask of zeros.
func maskedFrame(opcode byte, payload []byte) []byte {
	frame := []byte{0x80 | opcode}
	if len(payload) < 126 {
		frame = append(frame, 0x80|byte(len(payload)))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(len(payload)))
	}
	return append(append(frame, 0, 0, 0, 0), payload...)
}

// TestBurstsAreDeliveredInOrder: what one write brings, more of it than a
// mailbox or a burst holds, with nothing behind it that would push it on.
func TestBurstsAreDeliveredInOrder(t *testing.T) {
	t.Parallel()
	const count = 500
	request := func(id int) []byte {
		return encodedMessage(t, protocol.Message{
			Type: protocol.MessageRequest, ID: uint64(id), Route: "svc.echo", Data: fmt.Appendf(nil, "%d%s", id, bytes.Repeat([]byte("x"), id)),
		})
	}
	t.Run("tcp", func(t *testing.T) {
		t.Parallel()
		c := newRig(t, acceptor.NewTCP("127.0.0.1:0")).dialTCP()
		c.handshake()
		var all []byte
		for id := range count {
			all = append(all, request(id+1)...)
		}
		half := request(count + 1)
		_, err := c.nc.Write(append(all, half[:len(half)-1]...)) // a packet that is not complete holds nothing up
		require.NoError(t, err)
		for id := range count {
			m := c.answer()
			require.Equal(t, uint64(id+1), m.ID)
			require.Equal(t, fmt.Appendf(nil, "%d%s", id+1, bytes.Repeat([]byte("x"), id+1)), m.Data)
		}
		_, err = c.nc.Write(half[len(half)-1:])
		require.NoError(t, err)
		require.Equal(t, uint64(count+1), c.answer().ID)
		// What came before a fault is heard, although nothing can be answered.
		note := encodedMessage(t, protocol.Message{Type: protocol.MessageNotify, Route: "svc.note", Data: []byte("last")})
		_, err = c.nc.Write(append(note, 0xff))
		require.NoError(t, err)
		require.Error(t, c.end())
	})
	t.Run("websocket", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, acceptor.NewWebSocket("127.0.0.1:0"))
		nc := r.dialRaw()
		_, err := nc.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"))
		require.NoError(t, err)
		all := maskedFrame(2, encoded(t, protocol.PacketHandshake, hello))
		all = append(all, maskedFrame(2, encoded(t, protocol.PacketHandshakeAck, ""))...)
		all = append(all, maskedFrame(2, request(1))...)
		all = append(all, maskedFrame(9, []byte("ping"))...) // a control frame behind a message
		all = append(all, maskedFrame(2, request(2))...)
		fragment := maskedFrame(2, request(3)[:5]) // and one that has only begun
		fragment[0] &^= 0x80
		_, err = nc.Write(append(all, fragment...))
		require.NoError(t, err)
		var got []byte
		buf := make([]byte, 4096)
		for !bytes.Contains(got, []byte("2xx")) || !bytes.Contains(got, []byte("ping")) {
			n, err := nc.Read(buf)
			require.NoError(t, err, "%q", got)
			got = append(got, buf[:n]...)
		}
		_, err = nc.Write(maskedFrame(0, request(3)[5:]))
		require.NoError(t, err)
		for !bytes.Contains(got, []byte("3xxx")) {
			n, err := nc.Read(buf)
			require.NoError(t, err)
			got = append(got, buf[:n]...)
		}
	})
}

// TestPayloadsAreTheReceivers: what a handler keeps is not written over.
func TestPayloadsAreTheReceivers(t *testing.T) {
	t.Parallel()
	b := &burst{}
	var kept [][]byte
	var want []string
	for i := range 3000 {
		data := bytes.Repeat([]byte{byte(i)}, i%600)
		got := b.keep(data)
		kept, want = append(kept, got), append(want, string(data))
		clear(data)
	}
	for i := range kept {
		require.Equal(t, want[i], string(kept[i]))
	}
}
