package cluster

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

// offline is a callee, the only one, that can be taken off its transport.
type offline struct {
	server   *RPCServer
	room     *Server
	client   *RPCClient
	received chan *Incoming
	events   *countedEvents
	off, on  func()
}

func (o *offline) serve(t *testing.T, callee, caller Transport) {
	o.room, o.received, o.events = backendServer("back-1"), make(chan *Incoming, keptReplies+100), new(countedEvents)
	o.server = NewRPCServer(RPCServerParams{
		Self: o.room, Transport: callee, Prefix: "pitaya/", Metrics: o.events,
		Handler: serveFunc(func(in *Incoming) { o.received <- in }),
	})
	initModule(t, o.server)
	o.client = newTestClient(t, caller, time.Minute)
}

// goes makes calls, and returns their outcomes and what the callee received.
func (o *offline) goes(t *testing.T, n int) (chan string, []*Incoming) {
	t.Helper()
	outcomes := make(chan string, n)
	for i := range n {
		o.client.Go(o.room, userRequest("a.b", []byte(strconv.Itoa(i))), 0, func(r *clusterpb.Response, err error) {
			if err != nil {
				outcomes <- err.Error()
				return
			}
			outcomes <- string(r.GetData())
		})
	}
	all := make([]*Incoming, n)
	for i := range all {
		all[i] = <-o.received
	}
	return outcomes, all
}

func (o *offline) kept() int {
	o.server.kept.mu.Lock()
	defer o.server.kept.mu.Unlock()
	return len(o.server.kept.replies)
}

func eachOffline(t *testing.T, test func(t *testing.T, o *offline)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		bus, o := NewMemoryBus(), new(offline)
		callee, caller := bus.Transport("back"), bus.Transport("front")
		initModule(t, callee)
		initModule(t, caller)
		o.off, o.on = callee.Disconnect, callee.Reconnect
		o.serve(t, callee, caller)
		test(t, o)
	})
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		nodes, o := startNATS(t), new(offline)
		proxy := faultproxy.New(t, strings.TrimPrefix(nodes.NATSURL(), "nats://"))
		callee := natsTransport(t, "nats://"+proxy.Addr(), "back", nil)
		o.off = func() {
			require.NoError(t, proxy.Refuse())
			proxy.Cut(faultproxy.RST)
			require.Eventually(t, func() bool { return !callee.status().connected }, rpcPatience, rpcPoll)
		}
		o.on = func() { require.NoError(t, proxy.Accept()) }
		o.serve(t, callee, natsTransport(t, nodes.NATSURL(), "front", nil))
		test(t, o)
	})
}

// N06: a callee that is off NATS when its handlers end answers when it is back;
// its callers, who are not, wait.
func TestN06_RepliesOfACalleeOffNATS(t *testing.T) {
	t.Parallel()
	eachOffline(t, func(t *testing.T, o *offline) {
		const calls = 100
		for range 2 {
			outcomes, all := o.goes(t, calls)
			o.off()
			for i, in := range all {
				if i%2 == 0 {
					in.Deadline = time.Now().Add(time.Minute)
				}
				echo(in)
			}
			require.Equal(t, calls, o.kept())
			require.Empty(t, outcomes)
			o.on()
			got := make(map[string]bool)
			for range calls {
				got[<-outcomes] = true
			}
			require.Len(t, got, calls)
			require.True(t, got["0"] && got[strconv.Itoa(calls-1)])
			require.Zero(t, o.kept())
		}
		require.Zero(t, o.events.of(EventUndelivered))
	})
}

// What nobody waits for any more is not sent, and no more is kept than that.
func TestKeptRepliesAreBounded(t *testing.T) {
	t.Parallel()
	eachOffline(t, func(t *testing.T, o *offline) {
		outcomes, all := o.goes(t, keptReplies+10)
		o.off()
		for i, in := range all {
			in.Deadline = time.Now().Add(time.Minute)
			if i < 5 {
				in.Deadline = time.Now().Add(-time.Millisecond)
			}
			echo(in)
		}
		require.Equal(t, keptReplies, o.kept())
		require.Equal(t, 5+5, o.events.of(EventUndelivered))
		o.on()
		for range keptReplies {
			<-outcomes
		}

		large, more := o.goes(t, 40)
		o.off()
		for _, in := range more {
			in.Deadline = time.Now().Add(time.Minute)
			in.Reply(&clusterpb.Response{Data: make([]byte, 512<<10)})
		}
		require.Equal(t, keptReplyBytes/(512<<10)-1, o.kept())
		o.on()
		for range keptReplyBytes/(512<<10) - 1 {
			<-large
		}
	})
}

func TestKeptRepliesExpire(t *testing.T) {
	t.Parallel()
	eachOffline(t, func(t *testing.T, o *offline) {
		outcomes, all := o.goes(t, 10)
		o.off()
		for i, in := range all {
			in.Deadline = time.Now().Add(time.Minute)
			if i < 4 {
				in.Deadline = time.Now().Add(50 * time.Millisecond)
			}
			echo(in)
		}
		require.Eventually(t, func() bool { return o.kept() == 6 }, rpcPatience, rpcPoll)
		o.on()
		for range 6 {
			<-outcomes
		}
		require.Equal(t, 4, o.events.of(EventUndelivered))
	})
}

// A server that is shut down without NATS does not wait for it.
func TestKeptRepliesEndWithTheServer(t *testing.T) {
	t.Parallel()
	eachOffline(t, func(t *testing.T, o *offline) {
		_, all := o.goes(t, 3)
		o.off()
		for _, in := range all {
			echo(in)
		}
		begin := time.Now()
		shutdownModule(t, o.server)
		require.Less(t, time.Since(begin), rpcPatience/2)
		require.Equal(t, 3, o.events.of(EventUndelivered))
		o.on()
	})
}
