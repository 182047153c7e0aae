package protocol_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// What wire.md section 3 says in words; the vectors it names for some of it
// (msgdec_id_unterminated, msgdec_bit6_bit7, msg_route_256_bug) are not in the file.
func TestDecodeMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   string
		want protocol.Message
		err  error
	}{
		{"unterminated id", "\x04\x80\x80", protocol.Message{}, protocol.ErrInvalidMessage},
		{"long unterminated id", "\x00" + strings.Repeat("\xff", 4000), protocol.Message{}, protocol.ErrInvalidMessage},
		{"bits 6 and 7 are ignored", "\xc4\x05x", protocol.Message{Type: protocol.MessageResponse, ID: 5, Data: []byte("x")}, nil},
		{"request ends after its id", "\x00\x01", protocol.Message{}, protocol.ErrInvalidMessage},
		{"request ends after a coded route's id", "\x01\x01", protocol.Message{}, protocol.ErrInvalidMessage},
		{"half a code", "\x01\x01\x00", protocol.Message{}, protocol.ErrInvalidMessage},
		{"unknown code", "\x03\x00\x09x", protocol.Message{}, protocol.ErrUnknownRouteCode},
		{"id 128", "\x04\x80\x01", protocol.Message{Type: protocol.MessageResponse, ID: 128, Data: []byte{}}, nil},
		{"id 300", "\x04\xac\x02", protocol.Message{Type: protocol.MessageResponse, ID: 300, Data: []byte{}}, nil},
		{"id 2^64-1", "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", protocol.Message{Type: protocol.MessageResponse, ID: 1<<64 - 1, Data: []byte{}}, nil},
		{"bits beyond 64 in byte ten", "\x04\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", protocol.Message{Type: protocol.MessageResponse, ID: 1 << 63, Data: []byte{}}, nil},
		{"compressed without a body", "\x12\x01a", protocol.Message{}, nil},
		{"response with a route bit", "\x05\x01{}", protocol.Message{Type: protocol.MessageResponse, ID: 1, Data: []byte("{}")}, nil},
		{"empty notify", "\x02\x00", protocol.Message{Type: protocol.MessageNotify, Data: []byte{}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := protocol.DecodeMessage([]byte(tt.in), protocol.Decoding{})
			if tt.name == "compressed without a body" {
				require.ErrorContains(t, err, "unexpected EOF")
				return
			}
			require.Equal(t, tt.err, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestAppendToRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		m    protocol.Message
		err  error
	}{
		{"type", protocol.Message{Type: 4, Route: "a.b"}, protocol.ErrMessageType},
		{"response without an id", protocol.Message{Type: protocol.MessageResponse}, protocol.ErrNoResponseID},
		{"route of 256 bytes", protocol.Message{Type: protocol.MessagePush, Route: strings.Repeat("r", 256)}, protocol.ErrRouteTooLong},
		{"route of 300 bytes", protocol.Message{Type: protocol.MessageRequest, ID: 1, Route: strings.Repeat("r", 300)}, protocol.ErrRouteTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, appendTo := range []func([]byte, protocol.Encoding) ([]byte, error){tt.m.AppendTo, tt.m.AppendPacketTo} {
				got, err := appendTo([]byte("before"), protocol.Encoding{})
				require.ErrorIs(t, err, tt.err)
				require.Equal(t, "before", string(got))
			}
		})
	}
}

func TestAppendPacketTo(t *testing.T) {
	t.Parallel()
	m := protocol.Message{Type: protocol.MessageResponse, ID: 1, Data: []byte("x")}
	got, err := m.AppendPacketTo([]byte("before"), protocol.Encoding{})
	require.NoError(t, err)
	require.Equal(t, "before\x04\x00\x00\x03\x04\x01x", string(got))

	m.Data = make([]byte, protocol.MaxPacketBody-2)
	got, err = m.AppendPacketTo(nil, protocol.Encoding{})
	require.NoError(t, err)
	require.Equal(t, "\x04\xff\xff\xff\x04\x01", string(got[:6]))

	m.Data = make([]byte, protocol.MaxPacketBody-1) // with flag and id exactly 2^24
	got, err = m.AppendPacketTo([]byte("before"), protocol.Encoding{})
	require.ErrorIs(t, err, protocol.ErrPacketTooLarge)
	require.Equal(t, "before", string(got))
}

func TestCompressionOfMessages(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("abcdefgh"), 40)
	m := protocol.Message{Type: protocol.MessagePush, Route: "onX", Data: text}
	tests := []struct {
		name  string
		above int
		data  []byte
		want  bool
	}{
		{"never", 0, text, false},
		{"at the threshold", len(text), text, false},
		{"above the threshold", len(text) - 1, text, true},
		{"not shorter", 1, []byte(`{"code":200}`), false},
		{"nothing to compress", 1, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := m
			m.Data = tt.data
			b, err := m.AppendTo(make([]byte, 0, 1024), protocol.Encoding{CompressAbove: tt.above})
			require.NoError(t, err)
			require.Equal(t, tt.want, b[0]&0x10 != 0)
			got, err := protocol.DecodeMessage(b, protocol.Decoding{})
			require.NoError(t, err)
			require.Equal(t, tt.want, got.Compressed)
			require.Equal(t, string(tt.data), string(got.Data))
		})
	}
}

func TestDictionaryInMessages(t *testing.T) {
	t.Parallel()
	d, err := protocol.NewDictionary(map[string]uint16{" onX ": 300})
	require.NoError(t, err)
	m := protocol.Message{Type: protocol.MessagePush, Route: "onX", Data: []byte("x")}
	b, err := m.AppendTo(nil, protocol.Encoding{Dictionary: d})
	require.NoError(t, err)
	require.Equal(t, "\x07\x01\x2cx", string(b))

	_, err = protocol.DecodeMessage(b, protocol.Decoding{})
	require.ErrorIs(t, err, protocol.ErrUnknownRouteCode)
	got, err := protocol.DecodeMessage(b, protocol.Decoding{Dictionary: d})
	require.NoError(t, err)
	require.Equal(t, "onX", got.Route)
}

func TestInterner(t *testing.T) {
	t.Parallel()
	in := protocol.NewInterner([]string{"room.join"})
	b := []byte("\x02\x09room.join{}")
	got, err := protocol.DecodeMessage(b, protocol.Decoding{Intern: in.Intern})
	require.NoError(t, err)
	require.Equal(t, "room.join", got.Route)
	b[2] = 'R'
	require.Equal(t, "room.join", got.Route, "an interned string does not alias the buffer")
	got, err = protocol.DecodeMessage(b, protocol.Decoding{Intern: in.Intern})
	require.NoError(t, err)
	require.Equal(t, "Room.join", got.Route)
}

func TestDecodedDataAliasesButCannotGrow(t *testing.T) {
	t.Parallel()
	buffer := []byte("\x04\x01datanext")
	got, err := protocol.DecodeMessage(buffer[:6], protocol.Decoding{})
	require.NoError(t, err)
	require.Same(t, &buffer[2], &got.Data[0])
	_ = append(got.Data, "XXXX"...)
	require.Equal(t, "next", string(buffer[6:]))
}
