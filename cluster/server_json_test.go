package cluster

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/wirevectors"
)

// etcdVectors are the recorded values of servers in etcd.
func etcdVectors(t testing.TB) map[string]string {
	values := map[string]string{}
	for _, v := range wirevectors.Load(t, "strings") {
		if strings.HasPrefix(v.Name, "etcd_server_value") {
			values[v.Name] = string(v.Bytes(t))
		}
	}
	for _, v := range wirevectors.Load(t, "live-etcd") {
		var kv struct{ Key, Value string }
		v.DecodedInto(t, &kv)
		if strings.HasPrefix(kv.Key, "pitaya/servers/") {
			require.Equal(t, kv.Key, string(v.Bytes(t)))
			values[kv.Key] = kv.Value
		}
	}
	require.GreaterOrEqual(t, len(values), 5)
	return values
}

func TestServerJSON_Vectors(t *testing.T) {
	t.Parallel()
	for name, value := range etcdVectors(t) {
		var meaning map[string]any
		require.NoError(t, json.Unmarshal([]byte(value), &meaning), name)
		s := new(Server)
		require.NoError(t, json.Unmarshal([]byte(value), s), name)
		require.Equal(t, meaning["id"], s.ID, name)
		require.Equal(t, meaning["type"], s.Type, name)
		require.Equal(t, meaning["frontend"], s.Frontend, name)
		require.Equal(t, meaning["hostname"], s.Hostname, name)
		require.NotNil(t, s.Metadata, name)
		want, _ := meaning["metadata"].(map[string]any)
		require.Len(t, s.Metadata, len(want), name)
		for k, v := range want {
			require.Equal(t, v, s.Metadata[k], name)
		}
		require.False(t, s.Cereus(), name)
		require.Equal(t, StateUp, s.State, name)
		if meaning["metadata"] == nil {
			s.Metadata = nil // the vector is what Pitaya writes for a nil map
		}
		again, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, value, string(again), name)
	}
	for _, v := range wirevectors.Load(t, "strings") {
		if v.Name == "etcd_server_key" {
			require.Equal(t, string(v.Bytes(t)), serverKey("room", "back-1"))
		}
	}
}

func TestServerJSON_Extension(t *testing.T) {
	t.Parallel()
	s := &Server{
		ID: "a", Type: "room", Metadata: map[string]string{"z": "<&>", "a": "1"}, Frontend: true, Hostname: "h",
		Nonce: "N", Caps: []string{"fwd"}, Weight: 3,
	}
	value, err := json.Marshal(s)
	require.NoError(t, err)
	require.Equal(t, `{"id":"a","type":"room","metadata":{"a":"1","z":"\u003c\u0026\u003e"},"frontend":true,"hostname":"h",`+
		`"cereus":{"v":1,"nonce":"N","caps":["fwd"],"state":"up","weight":3}}`, string(value))
	back := new(Server)
	require.NoError(t, json.Unmarshal(value, back))
	require.True(t, back.equal(s))

	s.Caps = nil
	value, err = json.Marshal(s)
	require.NoError(t, err)
	require.Contains(t, string(value), `"caps":[]`)
}

var oddValues = []struct {
	name, value string
	server      *Server // nil: not a server
}{
	{"least", `{"id":"m1","type":"min"}`, &Server{}},
	{"null metadata", `{"id":"m1","type":"min","metadata":null}`, &Server{}},
	{"string metadata", `{"id":"m1","type":"min","metadata":""}`, &Server{}},
	{"any string metadata", `{"id":"m1","type":"min","metadata": "x"}`, &Server{}},
	{"later fields", `{"later":{"a":[1]},"id":"m1","type":"min","metadata":{"k":"v"}}`, &Server{Metadata: map[string]string{"k": "v"}}},
	{"later extension", `{"id":"m1","type":"min","cereus":{"v":9,"nonce":"n","state":"new","more":1}}`, &Server{Nonce: "n", State: "new"}},
	{"unreadable extension", `{"id":"m1","type":"min","cereus":{"nonce":7}}`, &Server{}},
	{"null extension", `{"id":"m1","type":"min","cereus":null}`, &Server{}},
	{"negative weight", `{"id":"m1","type":"min","cereus":{"nonce":"n","weight":-1}}`, &Server{Nonce: "n"}},
	{"null", `null`, nil},
	{"empty", ``, nil},
	{"object", `{}`, nil},
	{"array", `[]`, nil},
	{"cut", `{"id":"m1","type":"min"`, nil},
	{"wrong id", `{"id":"m2","type":"min"}`, nil},
	{"wrong type", `{"id":"m1","type":"max"}`, nil},
	{"id is a number", `{"id":1,"type":"min"}`, nil},
	{"frontend is a string", `{"id":"m1","type":"min","frontend":"true"}`, nil},
	{"metadata is an array", `{"id":"m1","type":"min","metadata":[]}`, nil},
	{"metadata with a number", `{"id":"m1","type":"min","metadata":{"k":1}}`, nil},
	{"a mebibyte", `{"id":"m1","type":"min","hostname":"` + strings.Repeat("x", 1<<20) + `"}`, nil},
}

func TestParseServer_OddValues(t *testing.T) {
	t.Parallel()
	for _, c := range oddValues {
		got, err := FolderServers.parse("servers/min/m1", []byte(c.value))
		if c.server == nil {
			require.Error(t, err, c.name)
			continue
		}
		require.NoError(t, err, c.name)
		want := c.server.clone()
		want.ID, want.Type, want.State = "m1", "min", want.state()
		require.Equal(t, want, got, c.name)
	}
	for _, key := range []string{
		"", "servers", "servers/", "servers/min", "servers/min/", "servers//m1", "servers/min/m1/x", "server/min/m1",
		"servers/min/m 1", "servers/m*n/m1", "servers/min/" + strings.Repeat("x", 65), "servers/min/ü",
	} {
		_, err := FolderServers.parse(key, []byte(`{"id":"m1","type":"min"}`))
		require.Error(t, err, key)
	}
}

func FuzzParseServer(f *testing.F) {
	for _, value := range etcdVectors(f) {
		f.Add("servers/room/back-1", []byte(value))
	}
	for _, c := range oddValues[:len(oddValues)-1] {
		f.Add("servers/min/m1", []byte(c.value))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		s, err := FolderServers.parse(key, value)
		if err != nil {
			return
		}
		require.Equal(t, key, serverKey(s.Type, s.ID))
		require.NotNil(t, s.Metadata)
		again, err := json.Marshal(s)
		require.NoError(t, err)
		if len(again) > maxServerValue {
			return // escapes made it longer
		}
		back, err := FolderServers.parse(key, again)
		require.NoError(t, err)
		if s.Cereus() {
			require.True(t, back.equal(s), "%s", again)
		}
	})
}
