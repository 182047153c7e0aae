package conformance_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/wirevectors"
)

// etcdExceptions are captured keys that nothing here writes.
var etcdExceptions = map[string]string{
	"etcd_out3dict_pitaya_bindings_connector_u1": "the binding storage module is not part of this app",
}

// TestVectorsLiveEtcd compares what stands in etcd with the captures: keys, and
// values but for the host's name and the key "cereus" of our own.
func TestVectorsLiveEtcd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, _ := w.pair("back-1", nil)
	on := dial(t, front.addr, nil)
	on.handshake()
	on.send(ask(1, "room.svc.group", `{"a":"u1"}`))
	_, _, ok := on.await(isAnswer(1, `"a":"group"`))
	require.True(t, ok, "%v", on.pool)
	for _, v := range wirevectors.Load(t, "live-etcd") {
		if reason, ok := etcdExceptions[v.Name]; ok {
			t.Logf("exception %s: %s", v.Name, reason)
			continue
		}
		var want struct{ Key, Value string }
		v.DecodedInto(t, &want)
		require.Equal(t, want.Key, string(v.Bytes(t)), v.Name)
		got, err := w.etcd.Get(context.Background(), want.Key)
		require.NoError(t, err)
		require.Len(t, got.Kvs, 1, want.Key)
		require.Equal(t, plainValue(t, want.Value), plainValue(t, string(got.Kvs[0].Value)), v.Name)
	}
}

func plainValue(t *testing.T, value string) any {
	t.Helper()
	if value == "" {
		return value
	}
	var server map[string]any
	require.NoError(t, json.Unmarshal([]byte(value), &server))
	delete(server, "hostname")
	delete(server, "cereus")
	return server
}
