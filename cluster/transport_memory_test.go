package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

func TestMemoryDisconnectReconnectMove(t *testing.T) {
	t.Parallel()
	bus := NewMemoryBus()
	front, back := bus.Transport("front"), bus.Transport("back")
	initModule(t, front)
	initModule(t, back)
	room := backendServer("back-1")
	waiting := make(chan *Incoming, 1)
	newTestServer(t, back, room, func(in *Incoming) {
		if len(in.Request.Msg.Data) > 0 {
			waiting <- in
			return
		}
		echo(in)
	})
	client := newTestClient(t, front, time.Minute)
	done := make(chan error, 1)
	call := func() { // one that is pending when call returns
		client.Go(room, userRequest("a.b", []byte("wait")), 0, func(_ *clusterpb.Response, err error) { done <- err })
	}

	call()
	in := <-waiting
	front.Disconnect()
	require.True(t, IsMaybe(<-done))
	echo(in)
	_, err := client.Call(t.Context(), room, userRequest("a.b", nil))
	require.True(t, IsUndelivered(err))

	front.Reconnect()
	require.EqualValues(t, 2, client.Epoch())
	_, err = client.Call(t.Context(), room, userRequest("a.b", nil))
	require.NoError(t, err)

	call()
	in = <-waiting
	front.Move()
	require.EqualValues(t, 3, client.Epoch())
	echo(in)
	require.NoError(t, <-done)

	back.Disconnect()
	_, err = client.Call(t.Context(), room, userRequest("a.b", nil))
	require.ErrorIs(t, err, errNoResponders)
}

func TestMemoryFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := NewMemoryBus()
		transport := bus.Transport("both")
		initModule(t, transport)
		room := backendServer("back-1")
		served := make(chan string, 100)
		newTestServer(t, transport, room, func(in *Incoming) { served <- string(in.Request.Msg.Data); echo(in) })
		client := newTestClient(t, transport, time.Minute)
		bus.SetFaults(func(m MemoryMessage) MemoryFault {
			var req clusterpb.Request
			if m.Reply == "" || proto.Unmarshal(m.Data, &req) != nil {
				return MemoryFault{}
			}
			switch string(req.GetMsg().GetData()) {
			case "drop":
				return MemoryFault{Drop: true}
			case "late":
				return MemoryFault{Delay: 50 * time.Millisecond}
			case "twice":
				return MemoryFault{Copies: 1}
			}
			return MemoryFault{}
		})
		results := make(chan error, 4)
		for _, what := range []string{"late", "twice", "plain", "drop"} {
			client.Go(room, userRequest("a.b", []byte(what)), 200*time.Millisecond, func(_ *clusterpb.Response, err error) { results <- err })
		}
		for range 3 {
			require.NoError(t, <-results)
		}
		require.Error(t, <-results)
		for _, want := range []string{"twice", "twice", "plain", "late"} {
			require.Equal(t, want, <-served)
		}
	})
}
