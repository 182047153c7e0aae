package conformance_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/internal/wirevectors"
)

// TestVectorsTowardsPitaya gives a backend the recorded requests of a Pitaya
// frontend: what it says to that is what Pitaya backends said, to the byte where
// cereus servers have fields of their own.
func TestVectorsTowardsPitaya(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	vectors := make(map[string]wirevectors.Vector)
	for _, v := range wirevectors.Load(t, "live-nats", "rpc-behaviour") {
		vectors[v.Name] = v
	}
	back := w.start(serverParams{Type: "room", ID: "back-1"})
	w.put("servers/connector/front-1",
		`{"id":"front-1","type":"connector","metadata":{"stack":"blue"},"frontend":true,"hostname":"vm"}`)
	w.knows(back, "front-1")

	calls := make(chan []byte, 64) // what the frontend's remotes are asked
	_, err := w.nats.Subscribe(prefix+"servers/connector/front-1", func(m *nats.Msg) {
		var r clusterpb.Request
		if proto.Unmarshal(m.Data, &r) != nil {
			return
		}
		calls <- append([]byte(r.GetMsg().GetRoute()+" "), r.GetMsg().GetData()...)
		_ = m.Respond(vectors["nats33_029_response"].Bytes(t))
	})
	require.NoError(t, err)
	said := make(chan *nats.Msg, 64) // on the subjects of users
	_, err = w.nats.Subscribe(">", func(m *nats.Msg) {
		if strings.HasPrefix(m.Subject, prefix+"connector/user/") {
			said <- m
		}
	})
	require.NoError(t, err)
	require.NoError(t, w.nats.Flush())

	ask := func(request string, adapt func(*clusterpb.Request)) {
		var r clusterpb.Request
		require.NoError(t, proto.Unmarshal(vectors[request].Bytes(t), &r), request)
		adapt(&r)
		b, err := proto.Marshal(&r)
		require.NoError(t, err)
		answer, err := w.nats.Request(vectors[request].Subject, b, patience)
		require.NoError(t, err, request)
		var got clusterpb.Response
		require.NoError(t, proto.Unmarshal(answer.Data, &got))
		require.Nil(t, got.GetError(), request)
	}
	asRecorded := func(*clusterpb.Request) {}
	for _, c := range []struct {
		request, remote string
		adapt           func(*clusterpb.Request)
	}{
		{"nats33_027_request", "nats33_028_request", asRecorded},                                          // setdata
		{"nats33_025_request", "nats32_009_request", func(r *clusterpb.Request) { r.Session.Uid = "u2" }}, // kick
	} {
		ask(c.request, c.adapt)
		var want clusterpb.Request
		require.NoError(t, proto.Unmarshal(vectors[c.remote].Bytes(t), &want), c.remote)
		require.Equal(t, want.GetMsg().GetRoute()+" "+string(want.GetMsg().GetData()), string(next(t, calls, c.remote)), c.remote)
	}
	for request, message := range map[string]string{
		"nats33_042_request": "nats33_043_push",
		"nats33_045_request": "nats33_046_push",
		"nats33_048_request": "nats33_049_push",
		"nats33_051_request": "nats33_052_push",
	} {
		ask(request, asRecorded)
		got, want := next(t, said, message), vectors[message]
		require.Equal(t, want.Subject, got.Subject, message)
		require.Equal(t, string(want.Bytes(t)), string(got.Data), message)
	}
	_, err = back.Kick(t.Context(), "connector", "cheating", "u1")
	require.NoError(t, err)
	got := next(t, said, "kick")
	require.Equal(t, "pitaya/connector/user/u1/kick", got.Subject)
	require.Equal(t, "\x0a\x02u1", string(got.Data), "a reason would be bytes that Pitaya does not know")
}

// next is what comes on c.
func next[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		require.Fail(t, "nothing was said", what)
	}
	return v
}
