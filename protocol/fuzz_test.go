package protocol_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// seed adds the bytes of every vector about the client protocol.
func seed(f *testing.F) {
	for _, b := range validBytes(f) {
		f.Add(b)
	}
}

func FuzzDecodePackets(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, err := protocol.DecodePackets(b)
		if err != nil {
			require.Empty(t, packets)
			return
		}
		var again []byte
		for _, p := range packets {
			again, err = protocol.AppendPacket(again, p.Type, p.Body)
			require.NoError(t, err)
		}
		require.True(t, bytes.HasPrefix(b, again))
	})
}

func FuzzReadPacket(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		p, err := protocol.ReadPacket(r, 1<<16)
		if err != nil {
			return
		}
		again, err := protocol.AppendPacket(nil, p.Type, p.Body)
		require.NoError(t, err)
		require.Equal(t, b[:len(b)-r.Len()], again)
	})
}

func FuzzDecodeMessage(f *testing.F) {
	seed(f)
	d, err := protocol.NewDictionary(map[string]uint16{"connector.room.join": 1, "onMessage": 300})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := protocol.DecodeMessage(b, protocol.Decoding{Dictionary: d})
		if err != nil {
			require.Equal(t, protocol.Message{}, m)
			return
		}
		require.LessOrEqual(t, len(m.Data), max(len(b), protocol.DefaultMaxInflated))
		if m.Type == protocol.MessageResponse && m.ID == 0 {
			return // readable, but we never write one
		}
		again, err := m.AppendTo(nil, protocol.Encoding{Dictionary: d})
		require.NoError(t, err)
		same, err := protocol.DecodeMessage(again, protocol.Decoding{Dictionary: d})
		require.NoError(t, err)
		m.Compressed = false
		require.Equal(t, m, same)
	})
}

func FuzzParseHandshakeRequest(f *testing.F) {
	seed(f)
	f.Add([]byte(`{"sys":{},"SYS":{}}`))
	f.Add([]byte(`{"user":{"a":[{"b":{"c":1,"c":2}}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := protocol.ParseHandshakeRequest(b)
		if err != nil {
			require.Nil(t, r)
			return
		}
		again, err := protocol.AppendHandshakeRequest(nil, r)
		require.NoError(t, err)
		same, err := protocol.ParseHandshakeRequest(again)
		require.NoError(t, err)
		require.Equal(t, r.Sys, same.Sys)
		require.Len(t, same.User, len(r.User))
	})
}

func FuzzDecodeHandshakeResponse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := protocol.DecodeHandshakeResponse(b)
		if err != nil {
			require.Nil(t, r)
			return
		}
		again, err := protocol.AppendHandshakeResponse(nil, r, 1)
		require.NoError(t, err)
		same, err := protocol.DecodeHandshakeResponse(again)
		require.NoError(t, err)
		require.Equal(t, r.Code, same.Code)
		require.Equal(t, r.Dictionary.Routes(), same.Dictionary.Routes())
		require.InDelta(t, r.Heartbeat.Seconds(), same.Heartbeat.Seconds(), 1)
	})
}

func FuzzInflate(f *testing.F) {
	seed(f)
	f.Add(protocol.Deflate(nil, make([]byte, 1<<20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := protocol.Inflate(b, protocol.InflateLimits{MaxBytes: 1 << 16})
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(got), min(1<<16, max(protocol.InflateFree, len(b)*protocol.DefaultMaxRatio)))
		same, err := protocol.Inflate(protocol.Deflate(nil, got), protocol.InflateLimits{MaxRatio: -1})
		require.NoError(t, err)
		require.True(t, bytes.Equal(got, same))
	})
}

func FuzzDecodeError(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"json", "protobuf"} {
			e, err := protocol.DecodeError(name, b)
			if err != nil {
				require.Nil(t, e)
				continue
			}
			require.NotEmpty(t, e.Code)
			require.NotEmpty(t, e.Message)
			again, err := protocol.EncodeError(name, e)
			require.NoError(t, err)
			same, err := protocol.DecodeError(name, again)
			require.NoError(t, err)
			require.Equal(t, errs.CodeOf(same) == "", errs.CodeOf(e) == "")
		}
	})
}
