package protocol_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/wirevectors"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/serializer"
)

// TestLivePackets reads every packet that a real server sent in the recorded
// conversations and writes it again.
func TestLivePackets(t *testing.T) {
	t.Parallel()
	recorded, err := protocol.NewDictionary(map[string]uint16{"connector.room.join": 1, "onMessage": 300})
	require.NoError(t, err)
	messages := 0
	for _, v := range wirevectors.Load(t, "live-client") {
		if v.Direction != "server to client" {
			continue
		}
		var dict *protocol.Dictionary
		if strings.HasPrefix(v.Name, "clidict") {
			dict = recorded
		}
		packets, err := protocol.DecodePackets(v.Bytes(t))
		require.NoError(t, err, v.Name)
		var again []byte
		for _, p := range packets {
			if p.Type == protocol.PacketData {
				checkLiveMessage(t, v, p.Body, dict)
				messages++
			}
			again, err = protocol.AppendPacket(again, p.Type, p.Body)
			require.NoError(t, err, v.Name)
		}
		require.Equal(t, v.Bytes(t), again, v.Name)
	}
	require.Equal(t, 96, messages)
}

func checkLiveMessage(t *testing.T, v wirevectors.Vector, b []byte, dict *protocol.Dictionary) {
	m, err := protocol.DecodeMessage(b, protocol.Decoding{Dictionary: dict})
	require.NoError(t, err, v.Name)
	enc := protocol.Encoding{Dictionary: dict}
	if m.Compressed {
		enc.CompressAbove = 1
	}
	again, err := m.AppendTo(nil, enc)
	require.NoError(t, err, v.Name)
	if m.Compressed {
		require.Equal(t, b[0], again[0], v.Name)
	} else {
		require.Equal(t, b, again, v.Name)
	}
	if m.Err {
		checkLiveError(t, v, m.Data)
	}
}

// checkLiveError: every recorded error body is written the same by us.
func checkLiveError(t *testing.T, v wirevectors.Vector, body []byte) {
	name := serializer.NameJSON
	if strings.HasPrefix(v.Name, "clipb") {
		name = serializer.NameProtobuf
	}
	e, err := protocol.DecodeError(name, body)
	require.NoError(t, err, v.Name)
	again, err := protocol.EncodeError(name, e)
	require.NoError(t, err, v.Name)
	if name == serializer.NameProtobuf && len(e.Metadata) > 1 {
		slices.Sort(body) // maps have no order in protobuf
		slices.Sort(again)
	}
	require.Equal(t, string(body), string(again), v.Name)
}

func TestProtobufErrorVector(t *testing.T) {
	t.Parallel()
	for _, v := range wirevectors.Load(t, "protobuf") {
		if v.Name != "pb_error_meta" {
			continue
		}
		e, err := protocol.DecodeError("protobuf", v.Bytes(t))
		require.NoError(t, err)
		require.Equal(t, "PIT-433", string(e.Code))
		require.Equal(t, "test error", e.Message)
		require.Equal(t, map[string]string{"some": "meta"}, e.Metadata)
		again, err := protocol.EncodeError("protobuf", e)
		require.NoError(t, err)
		require.Equal(t, v.Bytes(t), again)
		return
	}
	require.Fail(t, "pb_error_meta is missing")
}
