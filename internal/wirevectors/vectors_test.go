package wirevectors_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/wirevectors"
)

// The counts make a vector that got lost from the copy visible.
func TestEveryGroupIsComplete(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"packet": 14, "packet-decode": 8, "handshake": 7, "message": 22, "message-decode": 18,
		"zlib": 10, "strings": 8, "protobuf": 8, "rpc-request": 3, "live-nats": 88,
		"live-client": 347, "live-etcd": 7, "rpc-behaviour": 39, "worker": 1,
	}
	got := make(map[string]int)
	names := make(map[string]bool)
	for _, v := range wirevectors.Load(t) {
		got[v.Group]++
		require.False(t, names[v.Name], "name %s is used twice", v.Name)
		names[v.Name] = true
		v.Bytes(t)
		v.ReplyBytes(t)
	}
	require.Equal(t, want, got)
}

func TestLoadOfSomeGroups(t *testing.T) {
	t.Parallel()
	vectors := wirevectors.Load(t, "packet-decode", "worker")
	require.Len(t, vectors, 9)
	require.Equal(t, "packet-decode", vectors[0].Group)
}

func TestReplyBytes(t *testing.T) {
	t.Parallel()
	empty := ""
	require.Nil(t, wirevectors.Vector{}.ReplyBytes(t))
	require.NotNil(t, wirevectors.Vector{ReplyHex: &empty}.ReplyBytes(t))
}

func TestDecodedInto(t *testing.T) {
	t.Parallel()
	var text string
	for _, v := range wirevectors.Load(t, "strings") {
		v.DecodedInto(t, &text)
		require.Equal(t, string(v.Bytes(t)), text)
	}
}
