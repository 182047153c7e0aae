package cluster

import (
	"bytes"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/embedded"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

// N06: with NATS away, calls and pushes fail at once and nothing runs later.
// N07: with NATS back, everything works again. How soon that is for apps is tested
// in the root package.
func TestN06_N07_NATSAwayAndBack(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t)
	room := backendServer("back-1")
	var served sync.Map
	newTestServer(t, natsTransport(t, nodes.NATSURL(), "back", nil), room, func(in *Incoming) {
		served.Store(string(in.Request.Msg.Data), true)
		if string(in.Request.Msg.Data) == "pending" {
			t.Cleanup(in.Discard)
			return
		}
		echo(in)
	})
	transport := natsTransport(t, nodes.NATSURL(), "front", nil)
	client := newTestClient(t, transport, time.Minute)
	users := new(recordedUsers)
	front := newFrontend(t, transport, "front-1", users)
	require.NoError(t, front.SubscribeUser("before"))

	for round := range 2 {
		epoch := client.Epoch()
		pending := make(chan error, 1)
		client.Go(room, userRequest("a.b", []byte("pending")), 0, func(_ *clusterpb.Response, err error) { pending <- err })
		require.Eventually(t, func() bool { _, ok := served.Load("pending"); return ok }, rpcPatience, rpcPoll)

		require.NoError(t, nodes.StopNATS(t.Context(), 0))
		err := <-pending
		require.True(t, IsMaybe(err), err)
		require.False(t, IsUndelivered(err))
		require.False(t, client.Connected())
		for range 100 {
			_, err = client.Call(t.Context(), room, userRequest("a.b", []byte("late")))
			require.True(t, IsUndelivered(err), err)
			require.ErrorIs(t, client.PushToUser("connector", "before", &clusterpb.Push{}), errs.ErrUnavailable)
		}
		require.NoError(t, front.SubscribeUser("during"))

		require.NoError(t, nodes.RestartNATS(t.Context(), 0))
		back := time.Now()
		require.Eventually(t, func() bool {
			_, err := client.Call(t.Context(), room, userRequest("a.b", []byte("back")))
			return err == nil
		}, rpcPatience, rpcPoll)
		t.Logf("round %d: back after %s", round, time.Since(back))
		require.Greater(t, client.Epoch(), epoch)
		for _, uid := range []string{"before", "during"} {
			pushes, _, _ := users.counts()
			require.NoError(t, client.PushToUser("connector", uid, &clusterpb.Push{Uid: uid}))
			require.Eventually(t, func() bool { now, _, _ := users.counts(); return now == pushes+1 }, rpcPatience, rpcPoll)
		}
		served.Delete("pending")
	}
	_, late := served.Load("late")
	require.False(t, late)
}

// A call of an epoch that is over is not sent.
func TestOrderEpochIsKept(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t)
	room := backendServer("back-1")
	newTestServer(t, natsTransport(t, nodes.NATSURL(), "back", nil), room, echo)
	client := newTestClient(t, natsTransport(t, nodes.NATSURL(), "front", nil), 0)
	req := userRequest("a.b", nil)
	req.OrderEpoch = client.Epoch()
	_, err := client.Call(t.Context(), room, req)
	require.NoError(t, err)
	req.OrderEpoch++
	_, err = client.Call(t.Context(), room, req)
	require.True(t, IsUndelivered(err), err)
}

// N08: a NATS server that hangs is noticed within 3.5 s (tested with slack),
// calls never block their caller.
func TestN08_NATSHangs(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t)
	proxy := faultproxy.New(t, hostOf(t, nodes.NATSURL()))
	room := backendServer("back-1")
	newTestServer(t, natsTransport(t, nodes.NATSURL(), "back", nil), room, echo)
	client := newTestClient(t, natsTransport(t, "nats://"+proxy.Addr(), "front", nil), time.Minute)
	_, err := client.Call(t.Context(), room, userRequest("a.b", nil))
	require.NoError(t, err)
	proxy.Pause(faultproxy.Existing)
	start := time.Now()
	_, err = client.Call(t.Context(), room, userRequest("a.b", nil))
	require.True(t, IsMaybe(err), err)
	t.Logf("noticed after %s", time.Since(start))
	require.Less(t, time.Since(start), 6*time.Second)
	proxy.Resume()
	require.Eventually(t, func() bool {
		_, err := client.Call(t.Context(), room, userRequest("a.b", nil))
		return err == nil
	}, rpcPatience, rpcPoll)
}

// N13: a connection that NATS closes for good, because a subject is longer than
// its protocol has room for, is made anew.
func TestN13_ClosedForGood(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t)
	events := new(countedEvents)
	transport := natsTransport(t, nodes.NATSURL(), "back", events)
	room := backendServer("back-1")
	newTestServer(t, transport, room, echo)
	client := newTestClient(t, transport, 0)
	var pool bufferPool
	for round := range 3 {
		closed := transport.state.Load().link.nc
		tooLong := outgoing{subject: "x." + strings.Repeat("y", 5000), body: &buffer{b: []byte("x"), pool: &pool}}
		require.NoError(t, transport.publish(tooLong))
		require.Eventually(t, func() bool { return events.of(EventRebuilt) == round+1 }, rpcPatience, rpcPoll)
		require.True(t, closed.IsClosed())
		require.ErrorContains(t, closed.LastError(), "maximum control line")
		require.Eventually(t, func() bool {
			_, err := client.Call(t.Context(), room, userRequest("a.b", nil))
			return err == nil
		}, rpcPatience, rpcPoll)
	}
}

func TestN13_CannotBeMadeAnew(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t)
	died := make(chan error, 1)
	transport, err := NewNATSTransport(NATSParams{URL: nodes.NATSURL(), Die: func(err error) { died <- err }})
	require.NoError(t, err)
	transport.rebuildWithin = 300 * time.Millisecond
	initModule(t, transport)
	require.NoError(t, nodes.StopNATS(t.Context(), 0))
	transport.state.Load().link.nc.Close()
	require.ErrorContains(t, <-died, nodes.NATSURL())
}

// N20: NATS down at boot is retried until the boot timeout.
func TestN20_NATSDownAtBoot(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t)
	require.NoError(t, nodes.StopNATS(t.Context(), 0))
	var logged bytes.Buffer
	log := logrus.New()
	log.SetOutput(&logged)
	host := hostOf(t, nodes.NATSURL())
	params := NATSParams{URL: "nats://alice:s3cret-pw@" + host + ", nats://t0ken-value@" + host, BootTimeout: 500 * time.Millisecond, Log: log}
	transport, err := NewNATSTransport(params)
	require.NoError(t, err)
	start := time.Now()
	err = transport.Init(t.Context())
	require.ErrorContains(t, err, host)
	require.GreaterOrEqual(t, time.Since(start), 400*time.Millisecond)
	require.Equal(t, 1, strings.Count(logged.String(), "cannot connect to nats, trying again"), "one line per natsComplaint")
	for _, secret := range []string{"s3cret-pw", "alice", "t0ken-value"} {
		require.NotContains(t, err.Error(), secret)
		require.NotContains(t, logged.String(), secret)
	}

	params.BootTimeout, params.URL = time.Minute, nodes.NATSURL()
	transport, err = NewNATSTransport(params)
	require.NoError(t, err)
	started := make(chan error, 1)
	go func() { started <- transport.Init(t.Context()) }()
	require.NoError(t, nodes.RestartNATS(t.Context(), 0))
	require.NoError(t, <-started)
	shutdownModule(t, transport)
}

func TestNATSURLs(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", " ", "nats://a:4222,,nats://b:4222", "nats://u:p%zz@host:4222", "nats://"} {
		_, err := NewNATSTransport(NATSParams{URL: bad})
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "p%zz")
	}
	urls, err := parseNATSURLs("nats://u:p@a:4222, b:4223")
	require.NoError(t, err)
	require.Equal(t, "nats://a:4222,nats://b:4223", urls.String())
	require.Equal(t, "nats://u:p@a:4222,nats://u:p@c:1", urls.dial([]string{"nats://c:1", "nats://b:4223", "nats://a:4222"}, "b:4223"))
}

// N14: a NATS node in lame duck mode is left without a lost, doubled or
// reordered message, by the callee and by the caller.
func TestN14_LameDuck(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]struct{ callee, caller int }{
		"callee moves": {0, 1}, "caller moves": {1, 0}, "both move": {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testLameDuck(t, where.callee, where.caller)
		})
	}
}

func testLameDuck(t *testing.T, callee, caller int) {
	const calls, window = 50_000, 1000
	nodes := startNATS(t, embedded.WithNATSNodes(2), embedded.WithLameDuck(8*time.Second, 10*time.Second))
	urls, events := nodes.NATSURLs(), new(countedEvents)
	room := backendServer("back-1")
	var served orderWatch
	newTestServer(t, natsTransport(t, urls[callee], "back", events), room, func(in *Incoming) {
		if in.Request.Sequence > 0 {
			served.note(in.Request.OrderEpoch, in.Request.Sequence)
		}
		echo(in)
	})
	client := newTestClient(t, natsTransport(t, urls[caller], "front", events), time.Minute)
	require.Eventually(t, func() bool { // the caller's node has to hear of the callee from the other one
		_, err := client.Call(testContext(t), room, userRequest("a.b", nil))
		return err == nil
	}, rpcPatience, rpcPoll)

	s := newOrderedSender(client, room, window)
	for i := range calls {
		if i == calls/10 {
			require.NoError(t, nodes.LameDuck(0))
		}
		s.send(uint64(i + 1))
		if i >= calls/10 && i%20 == 0 && events.of(EventMoved) == 0 { // stretch the traffic over the move
			pause(t.Context(), time.Millisecond)
		}
	}
	s.finish()

	require.Empty(t, s.failures)
	require.Len(t, s.answered, calls)
	require.Len(t, served.times, calls)
	for number, times := range served.times {
		require.Equal(t, 1, times, "request %d", number)
		require.Equal(t, 1, s.answered[number], "answer %d", number)
	}
	require.Zero(t, served.disorder)
	want := 1
	if callee == caller {
		want = 2
	}
	require.Eventually(t, func() bool { return events.of(EventMoved) == want }, rpcPatience, rpcPoll)
	require.Zero(t, events.of(EventLost))
}

// orderWatch notes what a callee sees of one sender.
type orderWatch struct {
	times       map[uint64]int
	epoch, last uint64
	disorder    int
}

func (w *orderWatch) note(epoch, number uint64) {
	if w.times == nil {
		w.times = make(map[uint64]int)
	}
	w.times[number]++
	if number < w.last || epoch < w.epoch {
		w.disorder++
	}
	w.epoch, w.last = epoch, number
}

// orderedSender calls in order, as internal/dispatch does for a session: in
// a new epoch it sends nothing before everything of the older one is resolved,
// and first what that did not send any more.
type orderedSender struct {
	client *RPCClient
	to     *Server
	free   chan struct{}
	epoch  uint64
	open   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	unsent   []uint64
	answered map[uint64]int
	failures []error
}

func newOrderedSender(client *RPCClient, to *Server, window int) *orderedSender {
	return &orderedSender{client: client, to: to, free: make(chan struct{}, window), answered: make(map[uint64]int)}
}

func (s *orderedSender) send(number uint64) {
	if epoch := s.client.Epoch(); epoch != s.epoch {
		s.resend(epoch)
	}
	s.call(number)
}

func (s *orderedSender) resend(epoch uint64) {
	s.open.Wait()
	s.epoch = epoch
	s.mu.Lock()
	unsent := s.unsent
	s.unsent = nil
	s.mu.Unlock()
	slices.Sort(unsent)
	for _, number := range unsent {
		s.call(number)
	}
}

func (s *orderedSender) call(number uint64) {
	s.free <- struct{}{}
	s.open.Add(1)
	req := userRequest("a.b", []byte(strconv.FormatUint(number, 10)))
	req.Sequence, req.OrderEpoch = number, s.epoch
	s.client.Go(s.to, req, 0, func(resp *clusterpb.Response, err error) {
		s.note(number, resp, err)
		<-s.free
		s.open.Done()
	})
}

func (s *orderedSender) note(number uint64, resp *clusterpb.Response, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case IsUndelivered(err) && s.client.Epoch() != s.epoch:
		s.unsent = append(s.unsent, number)
	case err != nil:
		s.failures = append(s.failures, err)
	case string(resp.GetData()) != strconv.FormatUint(number, 10):
		s.failures = append(s.failures, errors.New("the answer belongs to another call"))
	default:
		s.answered[number]++
	}
}

func (s *orderedSender) finish() {
	s.open.Wait()
	for len(s.unsent) > 0 {
		s.resend(s.client.Epoch())
		s.open.Wait()
	}
}

func hostOf(t testing.TB, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return u.Host
}

// N14 for what is not answered: pushes come once and in order, also from a peer
// that is no cereus server.
func TestN14_LameDuckPushes(t *testing.T) {
	t.Parallel()
	const pushes = 20_000
	nodes := startNATS(t, embedded.WithNATSNodes(2), embedded.WithLameDuck(8*time.Second, 10*time.Second))
	urls, events, users := nodes.NATSURLs(), new(countedEvents), new(recordedUsers)
	front := newFrontend(t, natsTransport(t, urls[0], "front", events), "front-1", users)
	require.NoError(t, front.SubscribeUser("u1"))
	peer, err := nats.Connect(urls[1])
	require.NoError(t, err)
	t.Cleanup(peer.Close)
	subjects := []string{"pitaya/connector/user/u1/push", "pitaya/x/push/connector"}
	require.Eventually(t, func() bool { // the interest has spread
		require.NoError(t, peer.Publish("pitaya/connector/user/u1/kick", []byte("\x0a\x02u1")))
		_, kicks, _ := users.counts()
		return kicks > 0
	}, rpcPatience, 10*rpcPoll)

	for i := range pushes {
		if i == pushes/10 {
			require.NoError(t, nodes.LameDuck(0))
		}
		for _, subject := range subjects {
			data, err := proto.Marshal(&clusterpb.Push{Route: subject, Data: []byte(strconv.Itoa(i))})
			require.NoError(t, err)
			require.NoError(t, peer.Publish(subject, data))
		}
		if i > pushes/10 && i%10 == 0 && events.of(EventMoved) == 0 {
			pause(t.Context(), time.Millisecond)
		}
	}
	require.NoError(t, peer.Flush())
	require.Eventually(t, func() bool { n, _, _ := users.counts(); return n >= 2*pushes }, rpcPatience, rpcPoll)
	require.Eventually(t, func() bool { return events.of(EventMoved) == 1 }, rpcPatience, rpcPoll)
	next := make(map[string]int)
	users.mu.Lock()
	defer users.mu.Unlock()
	require.Len(t, users.pushes, 2*pushes)
	for _, push := range users.pushes {
		require.Equal(t, strconv.Itoa(next[push.GetRoute()]), string(push.GetData()), push.GetRoute())
		next[push.GetRoute()]++
	}
}
