package clusterpb_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/internal/wirevectors"
)

// messageOf is an empty message of the kind that a vector holds.
func messageOf(v wirevectors.Vector) proto.Message {
	name := strings.ToLower(v.Name)
	switch {
	case strings.HasSuffix(v.Subject, "/kick"), strings.Contains(name, "kickmsg"):
		return new(clusterpb.KickMsg)
	case strings.Contains(name, "kickanswer"):
		return new(clusterpb.KickAnswer)
	case strings.HasSuffix(v.Subject, "/push"):
		return new(clusterpb.Push)
	case strings.HasSuffix(v.Subject, "/bindings"):
		return new(clusterpb.BindMsg)
	case strings.HasPrefix(v.Subject, "_INBOX."), strings.Contains(name, "response"):
		return new(clusterpb.Response)
	case strings.Contains(name, "error"):
		return new(clusterpb.Error)
	case strings.Contains(name, "pb_session"):
		return new(clusterpb.Session)
	case strings.Contains(name, "pb_doc"):
		return new(clusterpb.Doc)
	}
	return new(clusterpb.Request)
}

// meaning is m as the vectors write it down: only what is set, bytes as text.
func meaning(m proto.Message) map[string]any {
	set := make(map[string]any)
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("protobuf")
		if tag == "" || v.Field(i).IsZero() {
			continue
		}
		name := v.Type().Field(i).Tag.Get("json")
		name, _, _ = strings.Cut(name, ",")
		switch value := v.Field(i).Interface().(type) {
		case proto.Message:
			set[name] = meaning(value)
		case []byte:
			set[name] = string(value)
		default:
			set[name] = value
		}
	}
	return set
}

// TestVectors decodes what real Pitaya processes sent, compares the meaning, and
// encodes it to the same bytes.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range wirevectors.Load(t, "protobuf", "rpc-request", "live-nats") {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			m := messageOf(v)
			data := v.Bytes(t)
			require.NoError(t, proto.Unmarshal(data, m))
			require.Empty(t, m.ProtoReflect().GetUnknown())
			encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			require.NoError(t, err)
			require.Equal(t, data, append([]byte{}, encoded...))
			requireMeaning(t, v, m)
		})
	}
}

func requireMeaning(t *testing.T, v wirevectors.Vector, m proto.Message) {
	t.Helper()
	var want map[string]any
	v.DecodedInto(t, &want)
	text, err := json.Marshal(meaning(m))
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	requireSame(t, want, got, v.Group == "protobuf")
}

// requireSame compares what is set; wanted zero values may be left out. In the
// group protobuf bytes are base64, elsewhere text.
func requireSame(t *testing.T, want, got map[string]any, base64 bool) {
	t.Helper()
	if entry, ok := want["value"]; ok && len(want) == 2 { // how the captures write a map's only entry
		want = map[string]any{want["key"].(string): entry}
	}
	for key, value := range want {
		switch value := value.(type) {
		case map[string]any:
			inner, ok := got[key].(map[string]any)
			require.True(t, ok, key)
			requireSame(t, value, inner, base64)
		default:
			requireValue(t, key, value, got[key], base64)
		}
	}
	for key := range got {
		require.Contains(t, want, key)
	}
}

func requireValue(t *testing.T, key string, want, got any, base64 bool) {
	t.Helper()
	if text, ok := got.(string); ok && base64 && key == "data" {
		encoded, err := json.Marshal([]byte(text))
		require.NoError(t, err)
		require.Equal(t, `"`+want.(string)+`"`, string(encoded))
		return
	}
	if name, ok := want.(string); ok && key == "type" {
		want = map[string]float64{"User": 1, "Sys": 0, "MsgRequest": 0, "MsgNotify": 1}[name]
	}
	if got == nil {
		require.Zero(t, want, key)
		return
	}
	require.Equal(t, want, got, key)
}
