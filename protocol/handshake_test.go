package protocol_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// TestS07_HandshakeJSON: what fails here is answered with 400 and closed. null
// and {} are fine, real clients of Pitaya may send them (wire.md 2.2).
func TestS07_HandshakeJSON(t *testing.T) {
	t.Parallel()
	sys := func(s protocol.HandshakeSys) *protocol.HandshakeRequest {
		return &protocol.HandshakeRequest{Sys: s}
	}
	nothing := sys(protocol.HandshakeSys{})
	tests := []struct {
		name string
		in   string
		want *protocol.HandshakeRequest // nil: refused
	}{
		{"null", `null`, nothing},
		{"empty object", ` {} `, nothing},
		{"null parts", `{"sys":null,"user":null}`, nothing},
		{"null fields", `{"sys":{"platform":null}}`, nothing},
		{"any case", `{"SYS":{"PLATFORM":"mac","libversion":"1"}}`, sys(protocol.HandshakeSys{Platform: "mac", LibVersion: "1"})},
		{"unknown keys", `{"sys":{"type":"js-websocket","version":"0.0.1","rsa":{"a":[1,{}]}},"user":{},"x":[1e999]}`,
			&protocol.HandshakeRequest{User: map[string]any{}}},
		{"user", `{"user":{"age":30,"tags":["a",null]}}`,
			&protocol.HandshakeRequest{User: map[string]any{"age": 30.0, "tags": []any{"a", nil}}}},
		{"same key in different objects", `{"user":{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":2}],"X":1,"x":1}}`,
			&protocol.HandshakeRequest{User: map[string]any{
				"a": map[string]any{"x": 1.0}, "b": map[string]any{"x": 1.0},
				"c": []any{map[string]any{"x": 1.0}, map[string]any{"x": 2.0}}, "X": 1.0, "x": 1.0,
			}}},
		{"value that looks like a key", `{"a":"sys","b":"sys","sys":{"platform":"sys"}}`, sys(protocol.HandshakeSys{Platform: "sys"})},

		{"empty body", ``, nil},
		{"spaces", `  `, nil},
		{"not JSON", `{{{`, nil},
		{"something after it", `{}{}`, nil},
		{"zlib", string(protocol.Deflate(nil, []byte(`{}`))), nil},
		{"array", `[]`, nil},
		{"string", `"x"`, nil},
		{"number", `1`, nil},
		{"sys of the wrong type", `{"sys":1}`, nil},
		{"sys as array", `{"sys":[]}`, nil},
		{"version as number", `{"sys":{"clientVersion":1}}`, nil},
		{"platform as bool", `{"sys":{"platform":true}}`, nil},
		{"lib version as object", `{"sys":{"libVersion":{}}}`, nil},
		{"build number as number", `{"sys":{"clientBuildNumber":20}}`, nil},
		{"user as array", `{"user":[1]}`, nil},
		{"user as string", `{"user":"bob"}`, nil},
		{"user as number", `{"user":0}`, nil},
		{"duplicate sys", `{"sys":{},"sys":{}}`, nil},
		{"duplicate sys in another case", `{"sys":{},"Sys":{}}`, nil},
		{"duplicate sys with a long s", `{"sys":{},"ſys":{}}`, nil},
		{"duplicate platform", `{"sys":{"platform":"a","PLATFORM":"b"}}`, nil},
		{"duplicate in user", `{"user":{"a":1,"a":2}}`, nil},
		{"duplicate deep down", `{"user":{"a":[[{"b":{"c":1,"c":2}}]]}}`, nil},
		{"duplicate by escape", `{"user":{"a":1,"\u0061":2}}`, nil},
		{"duplicate after an object", `{"user":{},"x":{"user":1},"user":{}}`, nil},
		{"100k arrays", strings.Repeat("[", 100_000), nil},
		{"100k closed arrays", `{"user":{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}}`, nil},
		{"100k objects", strings.Repeat(`{"user":`, 100_000) + "1" + strings.Repeat("}", 100_000), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := protocol.ParseHandshakeRequest([]byte(tt.in))
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == nil, err != nil, "%v", err)
			if strings.HasPrefix(tt.name, "duplicate") {
				require.ErrorIs(t, err, protocol.ErrDuplicateKey)
			}
		})
	}
}

func TestDeepButAllowedHandshake(t *testing.T) {
	t.Parallel()
	deep := `{"user":{"a":` + strings.Repeat(`[{"x":`, 2000) + "1" + strings.Repeat("}]", 2000) + `}}`
	_, err := protocol.ParseHandshakeRequest([]byte(deep))
	require.NoError(t, err)
}

func TestAppendHandshakeRequest(t *testing.T) {
	t.Parallel()
	got, err := protocol.AppendHandshakeRequest([]byte("before"), &protocol.HandshakeRequest{
		Sys: protocol.HandshakeSys{Platform: "mac"}, User: map[string]any{"age": 30},
	})
	require.NoError(t, err)
	require.Equal(t, `before{"sys":{"platform":"mac","libVersion":"","clientBuildNumber":"","clientVersion":""},"user":{"age":30}}`, string(got))

	got, err = protocol.AppendHandshakeRequest([]byte("before"), &protocol.HandshakeRequest{User: map[string]any{"f": func() {}}})
	require.Error(t, err)
	require.Equal(t, "before", string(got))
}

func TestHandshakeResponse(t *testing.T) {
	t.Parallel()
	d, err := protocol.NewDictionary(map[string]uint16{"b<c": 2, "a": 1})
	require.NoError(t, err)
	tests := []struct {
		name string
		in   protocol.HandshakeResponse
		want string
	}{
		{"seconds", protocol.HandshakeResponse{Code: 200, Heartbeat: 30 * time.Second, Serializer: "json"},
			`{"code":200,"sys":{"dict":{},"heartbeat":30,"serializer":"json"}}`},
		{"half a second", protocol.HandshakeResponse{Code: 400, Heartbeat: 500 * time.Millisecond, Serializer: "protobuf"},
			`{"code":400,"sys":{"dict":{},"heartbeat":0.5,"serializer":"protobuf"}}`},
		{"dictionary", protocol.HandshakeResponse{Code: 200, Heartbeat: time.Hour, Serializer: "json", Dictionary: d},
			`{"code":200,"sys":{"dict":{"a":1,"b\u003cc":2},"heartbeat":3600,"serializer":"json"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := protocol.AppendHandshakeResponse([]byte("before"), &tt.in, 0)
			require.NoError(t, err)
			require.Equal(t, "before"+tt.want, string(b))
			got, err := protocol.DecodeHandshakeResponse(b[len("before"):])
			require.NoError(t, err)
			require.Equal(t, tt.in.Dictionary.Routes(), got.Dictionary.Routes())
			tt.in.Dictionary, got.Dictionary = nil, nil
			require.Equal(t, tt.in, *got)
		})
	}
}

func TestHandshakeResponseCompression(t *testing.T) {
	t.Parallel()
	routes := make(map[string]uint16)
	for i := range uint16(50) {
		routes["connector.room.method"+strings.Repeat("x", int(i))] = i
	}
	d, err := protocol.NewDictionary(routes)
	require.NoError(t, err)
	r := &protocol.HandshakeResponse{Code: 200, Dictionary: d, Heartbeat: time.Second, Serializer: "json"}
	plain, err := protocol.AppendHandshakeResponse(nil, r, 0)
	require.NoError(t, err)
	same, err := protocol.AppendHandshakeResponse(nil, r, len(plain))
	require.NoError(t, err)
	require.Equal(t, plain, same, "at the threshold nothing is compressed")

	short, err := protocol.AppendHandshakeResponse(nil, r, len(plain)-1)
	require.NoError(t, err)
	require.Less(t, len(short), len(plain))
	require.True(t, protocol.IsCompressed(short))
	got, err := protocol.DecodeHandshakeResponse(short)
	require.NoError(t, err)
	require.Equal(t, routes, got.Dictionary.Routes())
}

func TestDecodeHandshakeResponseOfOtherServers(t *testing.T) {
	t.Parallel()
	got, err := protocol.DecodeHandshakeResponse([]byte(`{"code":501}`))
	require.NoError(t, err)
	require.Equal(t, 501, got.Code)
	require.Equal(t, "json", got.Serializer)
	require.Zero(t, got.Heartbeat)
	require.Zero(t, got.Dictionary.Len())

	got, err = protocol.DecodeHandshakeResponse([]byte(`{"code":200,"sys":{"heartbeat":2.5,"dict":null,"useDict":true,"protos":{}},"user":{}}`))
	require.NoError(t, err)
	require.Equal(t, 2500*time.Millisecond, got.Heartbeat)

	for name, in := range map[string]string{
		"empty":              "",
		"not JSON":           "xx",
		"negative heartbeat": `{"code":200,"sys":{"heartbeat":-1}}`,
		"endless heartbeat":  `{"code":200,"sys":{"heartbeat":1e300}}`,
		"code over 16 bits":  `{"code":200,"sys":{"dict":{"a":65536}}}`,
		"same code twice":    `{"code":200,"sys":{"dict":{"a":1,"b":1}}}`,
		"broken zlib":        "\x78\x9cxxxxxxx",
		"gzip":               "\x1f\x8b\x08xxxxx",
	} {
		_, err = protocol.DecodeHandshakeResponse([]byte(in))
		require.Error(t, err, name)
	}
}
