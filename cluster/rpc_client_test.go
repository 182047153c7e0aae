package cluster

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

func TestCall(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room := backendServer("back-1")
		newTestServer(t, join(t, "back"), room, echo)
		client := newTestClient(t, join(t, "front"), 0)
		resp, err := client.Call(t.Context(), room, userRequest("room.lobby.echo", []byte("hello")))
		require.NoError(t, err)
		require.Equal(t, "hello", string(resp.GetData()))
		require.EqualValues(t, 1, client.Epoch())
	})
}

func TestCallReturnsTheCalleesError(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room := backendServer("back-1")
		newTestServer(t, join(t, "back"), room, func(in *Incoming) {
			in.Reply(&clusterpb.Response{Error: &clusterpb.Error{
				Code: string(in.Request.Msg.Data), Msg: "no", Metadata: map[string]string{"k": "v"},
			}})
		})
		client := newTestClient(t, join(t, "front"), 0)
		for sent, want := range map[string]errs.Code{"ROOM-7": "ROOM-7", "": errs.CodeInternal} {
			_, err := client.Call(t.Context(), room, userRequest("a.b", []byte(sent)))
			require.Equal(t, &errs.Error{Code: want, Message: "no", Metadata: map[string]string{"k": "v"}}, err)
		}
	})
}

func TestCallTimesOut(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room := backendServer("back-1")
		newTestServer(t, join(t, "back"), room, func(in *Incoming) { t.Cleanup(in.Discard) })
		client := newTestClient(t, join(t, "front"), 60*time.Millisecond)
		_, err := client.Call(t.Context(), room, userRequest("room.lobby.slow", nil))
		require.ErrorIs(t, err, errs.ErrRequestTimeout)
		require.Equal(t, map[string]string{
			"timeout": "60ms", "route": "room.lobby.slow", "server": "front-1", "peer.id": "back-1",
		}, errs.From(err).Metadata)

		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = client.Call(ctx, room, userRequest("room.lobby.slow", nil))
		require.ErrorIs(t, err, errs.ErrRequestTimeout)
		require.False(t, IsUndelivered(err))
	})
}

func TestCallReturnsAtCancellation(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room := backendServer("back-1")
		ctx, cancel := context.WithCancel(t.Context())
		newTestServer(t, join(t, "back"), room, func(in *Incoming) { t.Cleanup(in.Discard); cancel() })
		client := newTestClient(t, join(t, "front"), time.Minute)
		_, err := client.Call(ctx, room, userRequest("room.lobby.slow", nil))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, errs.CodeClosed, errs.CodeOf(err))
		_, err = client.Call(ctx, room, userRequest("room.lobby.slow", nil))
		require.ErrorIs(t, err, context.Canceled)
	})
}

// N01: a target that is gone is known at once, as certainly not delivered.
func TestN01_TargetIsGone(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		client := newTestClient(t, join(t, "front"), time.Minute)
		start := time.Now()
		_, err := client.Call(t.Context(), backendServer("nobody"), userRequest("room.lobby.echo", nil))
		require.True(t, IsUndelivered(err), err)
		require.ErrorIs(t, err, errs.ErrUnavailable)
		require.Less(t, time.Since(start), 5*time.Second)
	})
}

func TestGoCallsDoneOnce(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		const calls = 5000
		room := backendServer("back-1")
		newTestServer(t, join(t, "back"), room, echo)
		client := newTestClient(t, join(t, "front"), time.Minute)
		done := make([]atomic.Int32, calls)
		var all sync.WaitGroup
		all.Add(calls)
		for i := range calls {
			want := strconv.Itoa(i)
			client.Go(room, userRequest("room.lobby.echo", []byte(want)), 0, func(resp *clusterpb.Response, err error) {
				if err == nil && string(resp.GetData()) != want {
					t.Errorf("call %s got the reply of %s", want, resp.GetData())
				}
				done[i].Add(1)
				all.Done()
			})
		}
		all.Wait()
		for i := range done {
			require.EqualValues(t, 1, done[i].Load())
		}
	})
}

func TestGoFailsBeforeItReturns(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		client := newTestClient(t, join(t, "front"), 0)
		for name, to := range map[string]*Server{
			"long":     {ID: string(make([]byte, 300)), Type: "room"},
			"wildcard": {ID: "a.*", Type: "room"},
			"empty":    {ID: "a..b", Type: "room"},
			"space":    {ID: "a b", Type: "room"},
		} {
			var failed error
			client.Go(to, userRequest("a.b", nil), 0, func(_ *clusterpb.Response, err error) { failed = err })
			require.True(t, IsUndelivered(failed), name)
		}
	})
}

// N03: a request or reply over the payload limit fails at once on either side.
func TestN03_TooLarge(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room := backendServer("back-1")
		newTestServer(t, join(t, "back"), room, func(in *Incoming) {
			in.Reply(&clusterpb.Response{Data: make([]byte, 1<<20)})
		})
		client := newTestClient(t, join(t, "front"), time.Minute)
		_, err := client.Call(t.Context(), room, userRequest("a.b", make([]byte, 1<<20)))
		require.ErrorIs(t, err, errs.ErrTooLarge)
		require.True(t, IsUndelivered(err))
		_, err = client.Call(t.Context(), room, userRequest("a.b", nil))
		require.ErrorIs(t, err, errs.ErrTooLarge)
		require.False(t, IsUndelivered(err))
		require.ErrorIs(t, client.PushToUser("connector", "u1", &clusterpb.Push{Data: make([]byte, 1<<20)}), errs.ErrTooLarge)
	})
}

func TestLateAndDoubleRepliesAreIgnored(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room, back := backendServer("back-1"), join(t, "back")
		newTestServer(t, back, room, func(in *Incoming) {
			body, _ := in.server.buffers.encode(&clusterpb.Response{Data: in.Request.Msg.Data})
			require.NoError(t, back.publish(outgoing{subject: in.reply, body: body}))
			in.Reply(&clusterpb.Response{Data: []byte("second")})
			in.Reply(&clusterpb.Response{Data: []byte("third")})
		})
		events := new(countedEvents)
		client := NewRPCClient(RPCClientParams{
			Self: frontendServer("front-1"), Transport: join(t, "front"), Prefix: "pitaya/", Metrics: events,
		})
		initModule(t, client)
		for i := range 100 {
			resp, err := client.Call(t.Context(), room, userRequest("a.b", []byte(strconv.Itoa(i))))
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i), string(resp.GetData()))
		}
		require.Eventually(t, func() bool { return events.of(EventLateReply) == 100 }, rpcPatience, rpcPoll)
	})
}

func TestCallAfterShutdown(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room := backendServer("back-1")
		started := make(chan struct{})
		newTestServer(t, join(t, "back"), room, func(in *Incoming) { t.Cleanup(in.Discard); close(started) })
		client := NewRPCClient(RPCClientParams{Self: frontendServer("front-1"), Transport: join(t, "front"), Prefix: "pitaya/"})
		require.NoError(t, client.Init(t.Context()))
		failed := make(chan error, 1)
		client.Go(room, userRequest("a.b", nil), time.Minute, func(_ *clusterpb.Response, err error) { failed <- err })
		<-started
		shutdownModule(t, client)
		require.True(t, IsMaybe(<-failed))
		_, err := client.Call(t.Context(), room, userRequest("a.b", nil))
		require.True(t, IsUndelivered(err))
	})
}

func TestPendingCalls(t *testing.T) {
	t.Parallel()
	expired := make(chan error, 10000)
	p := newPendingCalls(func(call pendingCall) { call.complete(nil, errExpired) })
	done := doneFunc(func(_ *clusterpb.Response, err error) { expired <- err })
	ctx, cancel := context.WithCancel(t.Context())
	var sweeper sync.WaitGroup
	sweeper.Go(func() { p.sweep(ctx) })
	defer sweeper.Wait()
	defer cancel()

	var tokens []uint64
	for i := range 3000 {
		timeout := time.Duration(i%7) * 10 * time.Millisecond
		if i%3 == 0 {
			timeout = time.Hour
		}
		token, err := p.add(done, callInfo{timeout: timeout})
		require.NoError(t, err)
		tokens = append(tokens, token)
	}
	for range 2000 {
		require.True(t, errors.Is(<-expired, errExpired))
	}
	require.EqualValues(t, 1000, p.count.Load())
	for i, token := range tokens {
		_, ok := p.take(token)
		require.Equal(t, i%3 == 0, ok)
		_, again := p.take(token)
		require.False(t, again)
		require.False(t, p.sending(token, 7, token))
	}
	require.Zero(t, p.count.Load())
	require.Empty(t, expired)
}

func TestShutdownWithoutInit(t *testing.T) {
	t.Parallel()
	client := NewRPCClient(RPCClientParams{Self: frontendServer("front-1"), Transport: NewMemoryBus().Transport("front-1")})
	require.NoError(t, client.Shutdown(t.Context()))
}
