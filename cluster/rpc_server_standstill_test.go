package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

func (s *standstill) markOf(number string) message { return message{reply: s.mark + number} }

func TestStandstill(t *testing.T) {
	t.Parallel()
	s := newStandstill()
	at := func(d time.Duration) time.Duration { return s.age(s.start.Add(d)) }
	require.Zero(t, at(standstillLeast))
	s.look(400 * time.Millisecond)
	require.Zero(t, at(800*time.Millisecond), "a late tick")

	// A request is the first to be read after 3 s without a tick.
	require.Equal(t, 3*time.Second, at(3400*time.Millisecond))
	require.Equal(t, 3*time.Second, at(3401*time.Millisecond))
	s.look(3402 * time.Millisecond)
	untold, mark := s.news()
	require.Equal(t, 3*time.Second, untold)
	require.Equal(t, s.markOf("1").reply, mark)
	untold, mark = s.news()
	require.Zero(t, untold)
	require.NotEmpty(t, mark)

	// Before the mark is back it stands still again: the mark says nothing any more.
	s.look(4402 * time.Millisecond)
	require.True(t, s.passed(s.markOf("1")))
	require.Equal(t, 4*time.Second, at(4403*time.Millisecond))
	require.False(t, s.passed(message{reply: inboxPrefix + "other.2"}))
	require.False(t, s.passed(message{reply: s.markOf("2").reply, data: []byte{1}}))
	require.True(t, s.passed(s.markOf("2")))
	require.Zero(t, at(4404*time.Millisecond))
	_, mark = s.news()
	require.Empty(t, mark)

	// Nobody waits for ever for a mark that does not come back.
	require.Equal(t, 2*time.Second, at(6403*time.Millisecond))
	for d := 6500 * time.Millisecond; d <= 6403*time.Millisecond+standstillSettle; d += 100 * time.Millisecond {
		s.look(d)
		require.Equal(t, 2*time.Second, at(d))
	}
	require.Zero(t, at(6500*time.Millisecond+standstillSettle))
}

func TestAskingForTheAgeAllocatesNothing(t *testing.T) {
	s := newStandstill()
	now := s.start
	require.Zero(t, testing.AllocsPerRun(10, func() { s.age(now) }))
}

// The mark comes back over a real transport, and is no request.
func TestStandstillEndsWithItsMark(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room, events := backendServer("back-1"), new(countedEvents)
		received := make(chan time.Time, 1)
		server := NewRPCServer(RPCServerParams{
			Self: room, Transport: join(t, "back"), Prefix: "pitaya/", Metrics: events,
			Handler: serveFunc(func(in *Incoming) { received <- in.Received; echo(in) }),
		})
		initModule(t, server)
		client := newTestClient(t, join(t, "front"), rpcPatience)
		_, err := client.Call(t.Context(), room, userRequest("a.b", nil))
		require.NoError(t, err)
		require.Less(t, time.Since(<-received), standstillLeast+rpcPatience)
		server.still.mu.Lock()
		server.still.last -= time.Hour // as if nobody had looked for so long
		server.still.fresh.Store(0)
		server.still.mu.Unlock()
		_, err = client.Call(t.Context(), room, userRequest("a.b", nil))
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			server.still.mu.Lock()
			defer server.still.mu.Unlock()
			return server.still.behind == 0 && events.of(EventPaused) > 0 // more on a machine that stood still itself
		}, rpcPatience, rpcPoll)
		<-received // the mark may have been faster than the call
		_, err = client.Call(t.Context(), room, &clusterpb.Request{Msg: &clusterpb.Msg{Route: "a.b"}})
		require.NoError(t, err)
		require.Less(t, time.Since(<-received), time.Hour)
		require.Zero(t, events.of(EventMalformed))
	})
}

// slowTransport takes long to subscribe, as a NATS server that is under load does.
type slowTransport struct{ Transport }

func (s slowTransport) subscribe(sub subscription) (cancelFunc, error) {
	<-time.After(2 * standstillLeast)
	return s.Transport.subscribe(sub)
}

// A server that needs long to begin did not stand still.
func TestSlowBeginningIsNoStandstill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		room, events := backendServer("back-1"), new(countedEvents)
		join := memoryRPCWorld(t)
		var late time.Duration
		initModule(t, NewRPCServer(RPCServerParams{
			Self: room, Transport: slowTransport{join(t, "back")}, Prefix: "pitaya/", Metrics: events,
			Handler: serveFunc(func(in *Incoming) { late = time.Since(in.Received); echo(in) }),
		}))
		_, err := newTestClient(t, join(t, "front"), rpcPatience).Call(t.Context(), room, userRequest("a.b", nil))
		require.NoError(t, err)
		require.Zero(t, late)
		<-time.After(time.Second)
		require.Zero(t, events.of(EventPaused))
	})
}
