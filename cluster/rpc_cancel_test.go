package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

// listening is a server that takes word of cancelled calls.
func listening(id string) *Server {
	s := backendServer(id)
	s.Caps = append(s.Caps, constants.CapCancel)
	return s
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	require.NoError(t, err)
	return data
}

// overdue is a context whose deadline passes when the test says so.
type overdue struct {
	context.Context
	passed chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.passed }

func (o overdue) Err() error {
	select {
	case <-o.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// N02: a caller that gives a call up tells the callee, which hears of it while
// it works.
func TestN02_ACancelledCallIsTakenBack(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room, plain := listening("back-1"), backendServer("back-2")
		began, cancelled := make(chan *Incoming, 1), make(chan struct{}, 9)
		work := func(in *Incoming) {
			in.OnCancel(func() { cancelled <- struct{}{} })
			began <- in
		}
		back := join(t, "back")
		server := newTestServer(t, back, room, work)
		deaf := newTestServer(t, back, plain, work)
		client := newTestClient(t, join(t, "front"), rpcPatience)
		why := errors.New("enough replies")

		call := func(ctx context.Context, to *Server) (*Incoming, chan error) {
			done := make(chan error, 1)
			go func() {
				_, err := client.Call(ctx, to, userRequest("a.b", nil))
				done <- err
			}()
			return <-began, done
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		in, done := call(ctx, room)
		require.False(t, in.Cancelled())
		cancel(why)
		require.ErrorIs(t, <-done, why)
		<-cancelled
		require.True(t, in.Cancelled())
		second := make(chan struct{})
		in.OnCancel(func() { close(second) }) // who asks later hears at once
		<-second
		echo(in)
		require.False(t, in.Cancelled(), "it is over")
		require.Zero(t, server.cancels.watched.Size())

		// The deadline is known to the callee: nothing is said.
		late := overdue{context.Background(), make(chan struct{})}
		in, done = call(late, room)
		close(late.passed)
		require.ErrorIs(t, <-done, errs.ErrRequestTimeout)
		require.NoError(t, client.transport.flush(t.Context()))
		require.Empty(t, cancelled)
		require.EqualValues(t, 1, server.cancels.remembered.Load())
		in.Discard()

		// Nor to a server that does not listen.
		ctx, cancel = context.WithCancelCause(t.Context())
		in, done = call(ctx, plain)
		cancel(why)
		require.ErrorIs(t, <-done, why)
		require.NoError(t, client.transport.flush(t.Context()))
		require.Zero(t, deaf.cancels.remembered.Load())
		echo(in)
		require.Empty(t, cancelled)
	})
}

// N02: a cancel may overtake its request, and may come when all is over.
func TestN02_CancelsBeforeAndAfter(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		got := make(chan *Incoming, 1)
		server := newTestServer(t, join(t, "back"), listening("back-1"), func(in *Incoming) { got <- in })
		raw := newRawPeer(t, join(t, "raw"))
		request := marshal(t, userRequest("a.b", []byte("x")))
		cancel := func(reply string) {
			raw.send(t, "pitaya/x/cancel/room/back-1", "", marshal(t, &clusterpb.Cancel{Reply: reply}))
		}

		cancel("_INBOX.early")
		require.Eventually(t, func() bool { return server.cancels.remembered.Load() == 1 }, rpcPatience, rpcPoll)
		raw.send(t, "pitaya/servers/room/back-1", "_INBOX.early", request)
		early := <-got
		require.True(t, early.Cancelled())
		told := false
		early.OnCancel(func() { told = true })
		require.True(t, told)
		early.Discard()

		raw.send(t, "pitaya/servers/room/back-1", "_INBOX.late", request)
		late := <-got
		late.OnCancel(func() { told = false })
		echo(late)
		cancel("_INBOX.late")
		require.Eventually(t, func() bool { return server.cancels.remembered.Load() == 2 }, rpcPatience, rpcPoll)
		require.True(t, told, "told of a call that was over")

		raw.send(t, "pitaya/servers/room/back-1", "_INBOX.other", request)
		other := <-got
		require.False(t, other.Cancelled())
		echo(other)
	})
}

// N04: what is no Cancel is counted and has no effect.
func TestN04_MalformedCancels(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		events := new(countedEvents)
		server := NewRPCServer(RPCServerParams{
			Self: listening("back-1"), Transport: join(t, "back"), Prefix: "pitaya/", Handler: serveFunc(echo), Metrics: events,
		})
		initModule(t, server)
		raw := newRawPeer(t, join(t, "raw"))
		bad := [][]byte{
			nil, []byte("hello"), {0x0a, 0x7f}, {0x0a, 0x01, 0xff},
			marshal(t, &clusterpb.Cancel{Reply: "pitaya/servers/room/back-1"}),
			marshal(t, &clusterpb.Cancel{Reply: "_INBOX.>"}),
			marshal(t, &clusterpb.Cancel{Reply: "_INBOX." + string(make([]byte, MaxSubject))}),
			marshal(t, &clusterpb.Cancel{Reply: "_INBOX.x", RemainingUs: -1}),
		}
		for _, data := range bad {
			raw.send(t, "pitaya/x/cancel/room/back-1", "", data)
		}
		require.Eventually(t, func() bool { return events.of(EventMalformed) == len(bad) }, rpcPatience, rpcPoll)
		require.Zero(t, server.cancels.remembered.Load())
		raw.send(t, "pitaya/x/cancel/room/back-1", "", marshal(t, &clusterpb.Cancel{Reply: "_INBOX.x", RemainingUs: 1 << 62}))
		require.Eventually(t, func() bool { return events.of(EventCancelled) == 1 }, rpcPatience, rpcPoll)
	})
}

func TestAskingForCancelsAllocatesNothing(t *testing.T) {
	c := newCancellations()
	require.Zero(t, testing.AllocsPerRun(10, func() { c.has("_INBOX.a") }))
	c.cancel("_INBOX.b", time.Minute)
	require.Zero(t, testing.AllocsPerRun(10, func() { c.has("_INBOX.a") }))
}

func TestCancelsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCancellations()
		c.cancel("long", time.Hour)
		c.cancel("short", time.Second)
		c.cancel("short", time.Hour) // the first word counts
		require.True(t, c.has("long") && c.has("short"))
		<-time.After(time.Second)
		require.True(t, c.has("long"))
		require.False(t, c.has("short"))
		<-time.After(cancelledFor)
		require.False(t, c.has("long"))
		require.Zero(t, c.remembered.Load())
		require.Empty(t, c.until)

		for i := range cancelledCalls + 10 {
			c.cancel(fmt.Sprint(i), time.Minute)
		}
		require.EqualValues(t, cancelledCalls, c.remembered.Load())
		require.False(t, c.has("9"))
		require.True(t, c.has("10"))
	})
}

// Whoever comes first, the watcher or the cancel, fn is called exactly once.
func TestCancelsMeetTheirWatchers(t *testing.T) {
	t.Parallel()
	c := newCancellations()
	for i := range 2000 {
		var called atomic.Int32
		reply, done := fmt.Sprint(i), make(chan struct{})
		go func() {
			defer close(done)
			c.cancel(reply, time.Minute)
		}()
		c.watch(reply, func() { called.Add(1) })
		<-done
		require.EqualValues(t, 1, called.Load())
	}
	require.Zero(t, c.watched.Size())
}

// Nothing is left of who asks to be told of a cancel while the call is answered.
func TestWatchersEndWithTheirCalls(t *testing.T) {
	t.Parallel()
	server := &RPCServer{cancels: newCancellations()}
	for i := range 20_000 {
		server.open.begin()
		in, done := &Incoming{server: server, reply: fmt.Sprint(i)}, make(chan struct{})
		go func() {
			defer close(done)
			in.Discard()
		}()
		in.OnCancel(func() { t.Error("nobody cancelled") })
		<-done
	}
	require.Zero(t, server.cancels.watched.Size())
}

// FuzzDecodeCancel holds our decoder to the results of the generated code.
func FuzzDecodeCancel(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("hello"))
	f.Add(marshal(f, &clusterpb.Cancel{Reply: "_INBOX.a.1", RemainingUs: 5_000_000}))
	f.Add(marshal(f, &clusterpb.Cancel{Reply: "_INBOX.a.1", RemainingUs: -1}))
	f.Add([]byte{0x0a, 0x02, 0xff, 0xfe, 0x10})
	f.Fuzz(func(t *testing.T, data []byte) {
		want, got := new(clusterpb.Cancel), new(clusterpb.Cancel)
		wantErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, want)
		gotErr := decodeCancel(data, got)
		require.Equal(t, wantErr == nil, gotErr == nil, "%v, %v", wantErr, gotErr)
		if wantErr == nil {
			require.True(t, proto.Equal(want, got), "%v\n%v", want, got)
		}
	})
}
