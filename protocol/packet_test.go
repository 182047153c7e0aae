package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

func TestAppendPacketKeepsDst(t *testing.T) {
	t.Parallel()
	dst := []byte("before")
	got, err := protocol.AppendPacket(dst, protocol.PacketData, []byte("x"))
	require.NoError(t, err)
	require.Equal(t, "before\x04\x00\x00\x01x", string(got))

	got, err = protocol.AppendPacket(dst, 9, []byte("x"))
	require.ErrorIs(t, err, protocol.ErrPacketType)
	require.Equal(t, "before", string(got))

	for _, n := range []int{-1, 1 << 24, 1<<24 + 1} {
		got, err = protocol.AppendPacketHeader(dst, protocol.PacketData, n)
		require.ErrorIs(t, err, protocol.ErrPacketTooLarge)
		require.Equal(t, "before", string(got))
	}
}

func TestParseHeader(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   []byte
		want protocol.PacketType
		n    int
		err  error
	}{
		{[]byte{4, 1, 2, 3}, protocol.PacketData, 0x010203, nil},
		{[]byte{4, 0xff, 0xff, 0xff, 9, 9}, protocol.PacketData, protocol.MaxPacketBody, nil},
		{[]byte{3, 0, 0}, 0, 0, protocol.ErrPacketHeader},
		{nil, 0, 0, protocol.ErrPacketHeader},
		{[]byte{0, 0, 0, 0}, 0, 0, protocol.ErrPacketType},
		{[]byte("GET /"), 0, 0, protocol.ErrPacketType},
		{[]byte{0x16, 3, 1, 2}, 0, 0, protocol.ErrPacketType}, // a TLS ClientHello
	}
	for _, tt := range tests {
		typ, n, err := protocol.ParseHeader(tt.in)
		require.Equal(t, tt.err, err)
		require.Equal(t, tt.want, typ)
		require.Equal(t, tt.n, n)
	}
}

func TestTypeNames(t *testing.T) {
	t.Parallel()
	for typ := range protocol.PacketType(10) {
		require.Equal(t, !typ.Valid(), typ.String() == "invalid", typ)
	}
	for typ := range protocol.MessageType(8) {
		require.Equal(t, !typ.Valid(), typ.String() == "invalid", typ)
	}
}

func TestDecodedBodiesCannotGrowIntoTheNext(t *testing.T) {
	t.Parallel()
	packets, err := protocol.DecodePackets([]byte{4, 0, 0, 1, 'a', 4, 0, 0, 1, 'b'})
	require.NoError(t, err)
	_ = append(packets[0].Body, 0xff)
	require.Equal(t, "b", string(packets[1].Body))
}

func TestReadPacket(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("0123456789"), 2000)
	stream := []byte{3, 0, 0, 0}
	stream, err := protocol.AppendPacket(stream, protocol.PacketData, long)
	require.NoError(t, err)
	for name, r := range map[string]io.Reader{
		"whole":  bytes.NewReader(stream),
		"sliced": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		p, err := protocol.ReadPacket(r, 1<<20)
		require.NoError(t, err, name)
		require.Equal(t, protocol.Packet{Type: protocol.PacketHeartbeat, Body: []byte{}}, p, name)
		p, err = protocol.ReadPacket(r, len(long))
		require.NoError(t, err, name)
		require.Equal(t, protocol.Packet{Type: protocol.PacketData, Body: long}, p, name)
		_, err = protocol.ReadPacket(r, 1<<20)
		require.Equal(t, io.EOF, err, name)
	}
}

func TestReadPacketRefuses(t *testing.T) {
	t.Parallel()
	broken := errors.New("cable")
	tests := []struct {
		name string
		r    io.Reader
		err  error
	}{
		{"end inside the header", bytes.NewReader([]byte{4, 0}), protocol.ErrPacketHeader},
		{"end before the body", bytes.NewReader([]byte{4, 0, 0, 1}), io.ErrUnexpectedEOF},
		{"end inside a long body", bytes.NewReader([]byte{4, 0, 0x40, 0, 1, 2}), io.ErrUnexpectedEOF},
		{"over the limit", bytes.NewReader([]byte{4, 1, 0, 1, 1, 2}), protocol.ErrPacketTooLarge},
		{"bad type", bytes.NewReader([]byte{6, 0, 0, 0}), protocol.ErrPacketType},
		{"broken stream", io.MultiReader(bytes.NewReader([]byte{4, 0, 0x40, 0, 1}), iotest.ErrReader(broken)), broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := protocol.ReadPacket(tt.r, 1<<16)
			require.ErrorIs(t, err, tt.err)
		})
	}
}
