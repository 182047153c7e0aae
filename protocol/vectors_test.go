package protocol_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/wirevectors"
	"github.com/cereus-game/cereus/protocol"
)

// exceptions are the vectors that this package does not reproduce, with the
// reason. Each is still looked at, for what it does instead.
var exceptions = map[string]string{
	"pkt_len_1shl24_bug":                  "the reference destroys the stream; wire.md 1.1 asks to refuse 2^24 bytes",
	"msg_dict_response":                   "the reference sets the route bit although no code follows; wire.md 3.7 says a response never carries a route, so we write 04 and read 05",
	"msgdec_request_no_route_bug":         "the reference panics; wire.md 3.6 asks for a clean rejection",
	"msgdec_request_2byteid_no_route_bug": "the reference panics; wire.md 3.6 asks for a clean rejection",

	"nats_server_subject":       "not a client protocol fact, package cluster's",
	"nats_user_push":            "not a client protocol fact, package cluster's",
	"nats_user_kick":            "not a client protocol fact, package cluster's",
	"nats_bindings":             "not a client protocol fact, package cluster's",
	"etcd_server_key":           "not a client protocol fact, package cluster's",
	"etcd_server_value":         "not a client protocol fact, package cluster's",
	"etcd_server_value_grpc":    "not a client protocol fact, package cluster's",
	"etcd_server_value_nilmeta": "not a client protocol fact, package cluster's",
}

// TestVectors looks at every vector of the groups that are about the client
// protocol. A group or an exception that is not met fails the test.
func TestVectors(t *testing.T) {
	t.Parallel()
	groups := []struct {
		name  string
		count int
		check func(*testing.T, wirevectors.Vector)
	}{
		{"packet", 14, checkPacket},
		{"packet-decode", 8, checkPacketDecode},
		{"handshake", 7, checkHandshake},
		{"message", 22, checkMessage},
		{"message-decode", 18, checkMessageDecode},
		{"zlib", 10, checkZlib},
		{"strings", 8, checkString},
	}
	met := make(map[string]bool)
	for _, group := range groups {
		looked := 0
		for _, v := range wirevectors.Load(t, group.name) {
			t.Run(v.Name, func(t *testing.T) { group.check(t, v) })
			met[v.Name] = true
			looked++
		}
		require.Equal(t, group.count, looked, group.name)
	}
	for name, reason := range exceptions {
		require.True(t, met[name], "%s is not there any more (%s)", name, reason)
	}
	t.Logf("%d vectors, %d exceptions", len(met), len(exceptions))
}

type packetMeaning struct {
	Type   protocol.PacketType `json:"type"`
	Length int                 `json:"data_len"`
	Text   string              `json:"data_text"`
}

func checkPacket(t *testing.T, v wirevectors.Vector) {
	if v.Decoded == nil {
		checkPacketRefused(t, v)
		return
	}
	var want packetMeaning
	v.DecodedInto(t, &want)
	body := []byte(want.Text)
	if want.Text == "" {
		body = make([]byte, want.Length) // the long ones are zeros, and shown cut
	}
	got, err := protocol.AppendPacket(nil, want.Type, body)
	if exceptions[v.Name] != "" {
		require.ErrorIs(t, err, protocol.ErrPacketTooLarge)
		return
	}
	require.NoError(t, err)
	require.Len(t, got, protocol.HeaderSize+want.Length)
	recorded := v.Bytes(t)
	require.True(t, strings.HasPrefix(string(got), string(recorded)), "%x", recorded)

	packets, err := protocol.DecodePackets(got)
	require.NoError(t, err)
	require.Len(t, packets, 1)
	require.Equal(t, want.Type, packets[0].Type)
	require.True(t, bytes.Equal(body, packets[0].Body))
	checkHandshakeRequestVector(t, v, packets[0])
}

// checkHandshakeRequestVector: the requests of real clients parse and are
// written the same by our own client.
func checkHandshakeRequestVector(t *testing.T, v wirevectors.Vector, p protocol.Packet) {
	if p.Type != protocol.PacketHandshake {
		return
	}
	r, err := protocol.ParseHandshakeRequest(p.Body)
	require.NoError(t, err)
	again, err := protocol.AppendHandshakeRequest(nil, r)
	require.NoError(t, err)
	require.Equal(t, string(p.Body), string(again), v.Name)
}

func checkPacketRefused(t *testing.T, v wirevectors.Vector) {
	var err error
	switch v.Name {
	case "pkt_type0":
		_, err = protocol.AppendPacket(nil, 0, nil)
	case "pkt_type6":
		_, err = protocol.AppendPacket(nil, 6, nil)
	case "pkt_len_too_big":
		_, err = protocol.AppendPacketHeader(nil, protocol.PacketData, 1<<24+1)
	default:
		require.Fail(t, "no case for this vector")
	}
	require.EqualError(t, err, v.Error)
}

func checkPacketDecode(t *testing.T, v wirevectors.Vector) {
	var want []struct {
		Type protocol.PacketType `json:"type"`
		Data string              `json:"data_hex"`
	}
	v.DecodedInto(t, &want)
	packets, err := protocol.DecodePackets(v.Bytes(t))
	if v.Error != "" {
		require.EqualError(t, err, v.Error)
		require.Empty(t, packets)
		return
	}
	require.NoError(t, err)
	require.Len(t, packets, len(want))
	for i, p := range packets {
		require.Equal(t, want[i].Type, p.Type)
		require.Equal(t, want[i].Data, hex.EncodeToString(p.Body))
	}
}

func checkHandshake(t *testing.T, v wirevectors.Vector) {
	var want struct {
		Type   protocol.PacketType `json:"packet_type"`
		Length int                 `json:"body_length"`
		JSON   string              `json:"json"`
		Zlib   bool                `json:"zlib"`
	}
	v.DecodedInto(t, &want)
	packets, err := protocol.DecodePackets(v.Bytes(t))
	require.NoError(t, err)
	require.Len(t, packets, 1)
	require.Equal(t, want.Type, packets[0].Type)
	require.Len(t, packets[0].Body, want.Length)
	if want.Type == protocol.PacketKick {
		again, err := protocol.AppendPacket(nil, protocol.PacketKick, nil)
		require.NoError(t, err)
		require.Equal(t, v.Bytes(t), again)
		return
	}
	require.Equal(t, want.Zlib, protocol.IsCompressed(packets[0].Body))
	r, err := protocol.DecodeHandshakeResponse(packets[0].Body)
	require.NoError(t, err)

	plain, err := protocol.AppendHandshakeResponse(nil, r, 0)
	require.NoError(t, err)
	require.Equal(t, want.JSON, string(plain))
	if v.Name == "hs_ok_dict_small_nocomp" {
		require.Equal(t, packets[0].Body, plain)
		return
	}
	// The reference compresses whatever gets shorter.
	body, err := protocol.AppendHandshakeResponse(nil, r, 1)
	require.NoError(t, err)
	require.Equal(t, want.Zlib, protocol.IsCompressed(body))
	if !want.Zlib {
		require.Equal(t, packets[0].Body, body)
	}
}

type messageMeaning struct {
	Type       string `json:"type"`
	ID         uint64 `json:"id"`
	Route      string `json:"route"`
	Body       string `json:"body_hex"`
	Err        bool   `json:"err"`
	Compressed bool   `json:"gzip_flag"`
}

func (m messageMeaning) message(t *testing.T) protocol.Message {
	types := map[string]protocol.MessageType{
		"Request": protocol.MessageRequest, "Notify": protocol.MessageNotify,
		"Response": protocol.MessageResponse, "Push": protocol.MessagePush,
	}
	require.Contains(t, types, m.Type)
	data, err := hex.DecodeString(m.Body)
	require.NoError(t, err)
	return protocol.Message{
		Type: types[m.Type], ID: m.ID, Route: m.Route, Data: data, Err: m.Err, Compressed: m.Compressed,
	}
}

func dictionary(t testing.TB, v wirevectors.Vector) *protocol.Dictionary {
	if v.Dictionary == nil {
		return nil
	}
	d, err := protocol.NewDictionary(v.Dictionary)
	require.NoError(t, err)
	return d
}

func checkMessage(t *testing.T, v wirevectors.Vector) {
	if v.Decoded == nil {
		require.Equal(t, "msg_type4", v.Name, "no case for this vector")
		_, err := (&protocol.Message{Type: 4}).AppendTo(nil, protocol.Encoding{})
		require.EqualError(t, err, v.Error)
		return
	}
	var meaning messageMeaning
	v.DecodedInto(t, &meaning)
	want := meaning.message(t)
	dict := dictionary(t, v)
	got, err := protocol.DecodeMessage(v.Bytes(t), protocol.Decoding{Dictionary: dict})
	require.NoError(t, err)
	require.Equal(t, want, got)

	again, err := got.AppendTo(nil, encodingOf(v, dict))
	require.NoError(t, err)
	switch {
	case exceptions[v.Name] != "":
		require.Equal(t, append([]byte{0x04}, v.Bytes(t)[1:]...), again)
	case meaning.Compressed: // zlib bytes may differ, not what is before them, nor what they say
		require.Equal(t, fmt.Sprintf("%x", v.Bytes(t)[:2]), fmt.Sprintf("%x", again[:2]))
		inflated, err := protocol.DecodeMessage(again, protocol.Decoding{Dictionary: dict})
		require.NoError(t, err)
		require.Equal(t, want, inflated)
	default:
		require.Equal(t, v.Bytes(t), again)
	}
}

// encodingOf is how the reference was set when it made the vector.
func encodingOf(v wirevectors.Vector, dict *protocol.Dictionary) protocol.Encoding {
	enc := protocol.Encoding{Dictionary: dict}
	if strings.Contains(v.Name, "zlib") {
		enc.CompressAbove = 1
	}
	return enc
}

func checkMessageDecode(t *testing.T, v wirevectors.Vector) {
	got, err := protocol.DecodeMessage(v.Bytes(t), protocol.Decoding{Dictionary: dictionary(t, v)})
	switch {
	case exceptions[v.Name] != "":
		require.ErrorIs(t, err, protocol.ErrInvalidMessage)
	case v.Error != "":
		require.ErrorContains(t, err, v.Error)
	default:
		require.NoError(t, err)
		var meaning messageMeaning
		v.DecodedInto(t, &meaning)
		require.Equal(t, meaning.message(t), got)
	}
}

func checkZlib(t *testing.T, v wirevectors.Vector) {
	if v.Direction == wirevectors.Decode {
		var want bool
		v.DecodedInto(t, &want)
		require.Equal(t, want, protocol.IsCompressed(v.Bytes(t)))
		return
	}
	inputs := map[string]string{"zlib_0": "", "zlib_5": "hello", "zlib_100": strings.Repeat("a", 100)}
	require.Contains(t, inputs, v.Name)
	got, err := protocol.Inflate(v.Bytes(t), protocol.InflateLimits{})
	require.NoError(t, err)
	require.Equal(t, inputs[v.Name], string(got))
	again := protocol.Deflate(nil, got)
	require.True(t, protocol.IsCompressed(again))
	got, err = protocol.Inflate(again, protocol.InflateLimits{})
	require.NoError(t, err)
	require.Equal(t, inputs[v.Name], string(got))
}

func checkString(t *testing.T, v wirevectors.Vector) {
	require.NotEmpty(t, exceptions[v.Name], "no case for this vector")
}
