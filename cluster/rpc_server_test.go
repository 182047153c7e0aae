package cluster

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// rawPeer speaks to subjects without an RPCClient.
type rawPeer struct {
	Transport
	pool    bufferPool
	replies chan message
	inbox   string
}

func newRawPeer(t testing.TB, transport Transport) *rawPeer {
	t.Helper()
	c := &rawPeer{Transport: transport, replies: make(chan message, 1000), inbox: "_INBOX.raw." + strconv.FormatInt(time.Now().UnixNano(), 36)}
	cancel, err := transport.subscribe(subscription{subject: c.inbox, deliver: func(m message) { c.replies <- m }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cancel(context.Background())) })
	return c
}

func (c *rawPeer) send(t testing.TB, subject, reply string, data []byte) {
	t.Helper()
	require.NoError(t, c.publish(outgoing{subject: subject, reply: reply, body: &buffer{b: data, pool: &c.pool}}))
}

func (c *rawPeer) ask(t testing.TB, subject string, data []byte) *clusterpb.Response {
	t.Helper()
	c.send(t, subject, c.inbox, data)
	select {
	case m := <-c.replies:
		resp := new(clusterpb.Response)
		require.NoError(t, proto.Unmarshal(m.data, resp))
		return resp
	case <-time.After(rpcPatience):
		require.Fail(t, "no reply")
		return nil
	}
}

// N04: malformed bytes are answered and never dereferenced.
func TestN04_MalformedRequests(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		events := new(countedEvents)
		server := NewRPCServer(RPCServerParams{
			Self: backendServer("back-1"), Transport: join(t, "back"), Prefix: "pitaya/", Metrics: events,
			Handler: serveFunc(func(in *Incoming) { in.Reply(&clusterpb.Response{Data: []byte(in.Request.Msg.Route)}) }),
		})
		initModule(t, server)
		raw := newRawPeer(t, join(t, "raw"))
		bad := map[string][]byte{"empty": {}, "no msg": {0x08, 0x01}, "cut": {0x1a, 0x7f}, "text": []byte("hello, world")}
		for name, data := range bad {
			require.Equal(t, string(errs.CodeBadRequest), raw.ask(t, "pitaya/servers/room/back-1", data).GetError().GetCode(), name)
			raw.send(t, "pitaya/servers/room/back-1", "", data)
		}
		require.Empty(t, raw.ask(t, "pitaya/servers/room/back-1", []byte{0x1a, 0x00}).GetData())
		require.Equal(t, 2*len(bad), events.of(EventMalformed))
	})
}

// N18: nothing is published to a reply subject that is no reply inbox.
func TestN18_ReplySubjectIsNoInbox(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		transport := join(t, "back")
		served := make(chan bool, 1)
		newTestServer(t, transport, backendServer("back-1"), func(in *Incoming) { served <- in.Wanted(); echo(in) })
		raw := newRawPeer(t, transport)
		victim := make(chan message, 1)
		cancel, err := transport.subscribe(subscription{subject: "pitaya/connector/bindings", deliver: func(m message) { victim <- m }})
		require.NoError(t, err)
		data, err := proto.Marshal(userRequest("a.b", []byte("x")))
		require.NoError(t, err)
		raw.send(t, "pitaya/servers/room/back-1", "pitaya/connector/bindings", data)
		require.False(t, <-served)
		require.Equal(t, "x", string(raw.ask(t, "pitaya/servers/room/back-1", data).GetData()))
		require.True(t, <-served)
		require.NoError(t, cancel(t.Context()))
		require.Empty(t, victim)
	})
}

// N19: a handler that panics answers its call, the rest goes on.
func TestN19_HandlersPanic(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		transport := join(t, "front")
		events := new(countedEvents)
		self := frontendServer("front-1")
		server := NewRPCServer(RPCServerParams{
			Self: self, Transport: transport, Prefix: "pitaya/", Metrics: events,
			Handler: serveFunc(func(*Incoming) { panic("boom") }), Users: panickingUsers{},
		})
		initModule(t, server)
		client := newTestClient(t, transport, 0)
		require.NoError(t, server.SubscribeUser("u1"))
		for range 3 {
			_, err := client.Call(t.Context(), self, userRequest("a.b", nil))
			require.Equal(t, errs.New(errs.CodeInternal, "boom"), err)
		}
		require.NoError(t, client.PushToUser("connector", "u1", &clusterpb.Push{Route: "r"}))
		require.NoError(t, client.KickUser("connector", "u1", &clusterpb.KickMsg{}))
		require.NoError(t, client.AnnounceBind("connector", &clusterpb.BindMsg{Uid: "u1", Fid: "front-2"}))
		require.Eventually(t, func() bool { return events.of(EventPanic) == 6 }, rpcPatience, rpcPoll)
	})
}

type panickingUsers struct{}

func (panickingUsers) HandlePush(*clusterpb.Push)    { panic("push") }
func (panickingUsers) HandleKick(*clusterpb.KickMsg) { panic("kick") }
func (panickingUsers) HandleBind(*clusterpb.BindMsg) { panic("bind") }

func TestServeInOrderOfArrival(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		const requests = 3000
		room := backendServer("back-1")
		next, wrong := 0, 0
		newTestServer(t, join(t, "back"), room, func(in *Incoming) {
			if string(in.Request.Msg.Data) != strconv.Itoa(next) {
				wrong++
			}
			next++
			echo(in)
		})
		client := newTestClient(t, join(t, "front"), time.Minute)
		done := make(chan error, requests)
		for i := range requests {
			client.Go(room, userRequest("a.b", []byte(strconv.Itoa(i))), 0, func(_ *clusterpb.Response, err error) { done <- err })
		}
		for range requests {
			require.NoError(t, <-done)
		}
		require.Zero(t, wrong)
	})
}

func TestUsersOfAFrontend(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		users, others := new(recordedUsers), new(recordedUsers)
		front := newFrontend(t, join(t, "front-1"), "front-1", users)
		newFrontend(t, join(t, "front-2"), "front-2", others)
		client := newTestClient(t, join(t, "back"), 0)
		require.NoError(t, front.SubscribeUser("u1"))
		require.NoError(t, front.SubscribeUser("a.b/c"))
		require.Eventually(t, func() bool { // subscribing takes effect in its own time
			require.NoError(t, client.KickUser("connector", "a.b/c", &clusterpb.KickMsg{}))
			_, kicks, _ := users.counts()
			return kicks > 0
		}, rpcPatience, 10*rpcPoll)
		require.NoError(t, client.PushToUser("connector", "u1", &clusterpb.Push{Route: "onChat", Data: []byte("1")}))
		require.NoError(t, client.PushToUser("connector", "nobody", &clusterpb.Push{Route: "onChat"}))
		require.NoError(t, client.PushToFrontends("connector", &clusterpb.Push{Route: "all", Uids: []string{"u1", "u2"}}))
		require.NoError(t, client.PushToFrontend(frontendServer("front-2"), &clusterpb.Push{Route: "one", Uids: []string{"u3"}}))
		require.NoError(t, client.AnnounceBind("connector", &clusterpb.BindMsg{Uid: "u1", Fid: "front-1"}))
		require.Eventually(t, func() bool {
			pushes, _, binds := users.counts()
			otherPushes, _, otherBinds := others.counts()
			return pushes == 2 && binds == 1 && otherPushes == 2 && otherBinds == 1
		}, rpcPatience, rpcPoll)

		// The second session of a user keeps the subscriptions.
		require.NoError(t, front.SubscribeUser("u1"))
		require.NoError(t, front.UnsubscribeUser("u1"))
		require.NoError(t, client.PushToUser("connector", "u1", &clusterpb.Push{Route: "onChat"}))
		require.Eventually(t, func() bool { pushes, _, _ := users.counts(); return pushes == 3 }, rpcPatience, rpcPoll)
		require.NoError(t, front.UnsubscribeUser("u1"))
	})
}

// N10, the part of the subjects: what a subject cannot carry is refused.
func TestN10_UIDs(t *testing.T) {
	t.Parallel()
	long := string(make([]byte, MaxUID+1))
	for uid, ok := range map[string]bool{
		"u1": true, "a.b": true, ".a": true, "a.": true, "a/b": true, "*": true, "a.*": true, ">": true, "日本": true,
		"": false, "a b": false, "a\tb": false, "a\r\nb": false, "a..b": false, "a.*.b": false, "a.>.b": false,
		"a\x00b": false, "a\xffb": false, "a\u2028b": false, long: false,
	} {
		require.Equal(t, ok, CheckUID(uid) == nil, "%q", uid)
	}
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		transport := join(t, "front")
		front := newFrontend(t, transport, "front-1", new(recordedUsers))
		client := newTestClient(t, transport, 0)
		require.ErrorIs(t, front.SubscribeUser("a.*.b"), errs.ErrIllegalUID)
		require.ErrorIs(t, client.PushToUser("connector", "a..b", &clusterpb.Push{}), errs.ErrIllegalUID)
		require.ErrorIs(t, client.KickUser("connector", "a b", &clusterpb.KickMsg{}), errs.ErrIllegalUID)
		require.ErrorIs(t, client.PushToUser("", "u1", &clusterpb.Push{}), errs.ErrBadRequest)
	})
}

func TestShutdownAnswersWhatWasReceived(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		room, transport := backendServer("back-1"), join(t, "back")
		received := make(chan *Incoming, 100)
		server := NewRPCServer(RPCServerParams{
			Self: room, Transport: transport, Prefix: "pitaya/", Handler: serveFunc(func(in *Incoming) { received <- in }),
		})
		require.NoError(t, server.Init(t.Context()))
		client := newTestClient(t, join(t, "front"), time.Minute)
		done := make(chan error, 100)
		for range 100 {
			client.Go(room, userRequest("a.b", nil), 0, func(_ *clusterpb.Response, err error) { done <- err })
		}
		require.Eventually(t, func() bool { return server.open.n.Load() == 100 }, rpcPatience, rpcPoll)
		first := <-received
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		require.Error(t, server.Shutdown(ctx), "one is not answered")
		cancel()
		first.Discard()
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			for range 99 {
				echo(<-received)
			}
		}()
		shutdownModule(t, server)
		<-finished
		require.Zero(t, server.open.n.Load())
		for range 99 {
			require.NoError(t, <-done)
		}
	})
}
