package protocol_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

var (
	benchBody = bytes.Repeat([]byte(`{"x":1},`), 16) // 128 bytes
	benchText = bytes.Repeat([]byte(`{"name":"bob","gold":1234},`), 40)
)

func encoded(t testing.TB, m protocol.Message, enc protocol.Encoding) []byte {
	b, err := m.AppendTo(nil, enc)
	require.NoError(t, err)
	return b
}

func TestHotPathAllocations(t *testing.T) {
	dict, err := protocol.NewDictionary(map[string]uint16{"onMove": 1})
	require.NoError(t, err)
	intern := protocol.NewInterner([]string{"connector.room.join"})
	request := encoded(t, protocol.Message{Type: protocol.MessageRequest, ID: 7, Route: "connector.room.join", Data: benchBody}, protocol.Encoding{})
	coded := encoded(t, protocol.Message{Type: protocol.MessagePush, Route: "onMove", Data: benchBody}, protocol.Encoding{Dictionary: dict})
	dst := make([]byte, 0, 1024)
	response := protocol.Message{Type: protocol.MessageResponse, ID: 1 << 40, Data: benchBody}
	push := protocol.Message{Type: protocol.MessagePush, Route: "onMove", Data: benchBody}
	interned := protocol.Decoding{Intern: intern.Intern}
	tests := []struct {
		name string
		want float64
		fn   func()
	}{
		{"encode a response", 0, func() { _, _ = response.AppendTo(dst, protocol.Encoding{}) }},
		{"encode a response packet", 0, func() { _, _ = response.AppendPacketTo(dst, protocol.Encoding{}) }},
		{"encode a push", 0, func() { _, _ = push.AppendTo(dst, protocol.Encoding{}) }},
		{"encode a push by code", 0, func() { _, _ = push.AppendTo(dst, protocol.Encoding{Dictionary: dict}) }},
		{"encode a packet", 0, func() { _, _ = protocol.AppendPacket(dst, protocol.PacketData, benchBody) }},
		{"decode a request", 1, func() { _, _ = protocol.DecodeMessage(request, protocol.Decoding{}) }},
		{"decode a request, interned", 0, func() { _, _ = protocol.DecodeMessage(request, interned) }},
		{"decode by code", 0, func() { _, _ = protocol.DecodeMessage(coded, protocol.Decoding{Dictionary: dict}) }},
		{"refuse a message", 0, func() { _, _ = protocol.DecodeMessage(request[:3], protocol.Decoding{}) }},
		{"parse a header", 0, func() { _, _, _ = protocol.ParseHeader([]byte{4, 0, 0, 1}) }},
	}
	for _, tt := range tests {
		require.LessOrEqual(t, testing.AllocsPerRun(200, tt.fn), tt.want, tt.name)
	}
}

func BenchmarkEncode(b *testing.B) {
	dst := make([]byte, 0, 4096)
	response := protocol.Message{Type: protocol.MessageResponse, ID: 300, Data: benchBody}
	text := protocol.Message{Type: protocol.MessageResponse, ID: 300, Data: benchText}
	run := func(name string, m protocol.Message, enc protocol.Encoding) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = m.AppendPacketTo(dst, enc)
			}
		})
	}
	run("response-128", response, protocol.Encoding{})
	run("response-1080-zlib", text, protocol.Encoding{CompressAbove: 512})
	run("push-128", protocol.Message{Type: protocol.MessagePush, Route: "onMove", Data: benchBody}, protocol.Encoding{})
}

func BenchmarkDecode(b *testing.B) {
	request := protocol.Message{Type: protocol.MessageRequest, ID: 300, Route: "connector.room.join", Data: benchBody}
	text := request
	text.Data = benchText
	intern := protocol.NewInterner([]string{request.Route})
	run := func(name string, in []byte, dec protocol.Decoding) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = protocol.DecodeMessage(in, dec)
			}
		})
	}
	run("request-128", encoded(b, request, protocol.Encoding{}), protocol.Decoding{})
	run("request-128-interned", encoded(b, request, protocol.Encoding{}), protocol.Decoding{Intern: intern.Intern})
	run("request-1080-zlib", encoded(b, text, protocol.Encoding{CompressAbove: 1}), protocol.Decoding{Intern: intern.Intern})
}

func BenchmarkHandshake(b *testing.B) {
	in := []byte(`{"sys":{"platform":"mac","libVersion":"0.3.5-release","clientBuildNumber":"20","clientVersion":"2.1"},"user":{"age":30}}`)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = protocol.ParseHandshakeRequest(in)
		}
	})
	b.Run("response", func(b *testing.B) {
		b.ReportAllocs()
		r := &protocol.HandshakeResponse{Code: protocol.HandshakeOK, Heartbeat: 30e9, Serializer: "json"}
		for b.Loop() {
			_, _ = protocol.AppendHandshakeResponse(nil, r, 0)
		}
	})
}

func BenchmarkError(b *testing.B) {
	e := errs.ErrNoServer.With("type", "room")
	for _, name := range []string{"json", "protobuf"} {
		body, err := protocol.EncodeError(name, e)
		require.NoError(b, err)
		b.Run("encode-"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = protocol.EncodeError(name, e)
			}
		})
		b.Run("decode-"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = protocol.DecodeError(name, body)
			}
		})
	}
}
