package cluster

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// bundleWorld is a caller and a callee on a NATS server, and an ear on it.
type bundleWorld struct {
	url         string
	options     []nats.Option
	front, back *NATSTransport
	client      *RPCClient

	requests, replies atomic.Int64 // messages of NATS
}

func newBundleWorld(t *testing.T) *bundleWorld {
	t.Helper()
	return newBundleWorldAt(t, startNATS(t).NATSURL())
}

func newBundleWorldAt(t *testing.T, url string, options ...nats.Option) *bundleWorld {
	t.Helper()
	w := &bundleWorld{url: url, options: options}
	ear := w.connect(t)
	for subject, count := range map[string]*atomic.Int64{"pitaya/servers/>": &w.requests, "_INBOX.>": &w.replies} {
		_, err := ear.Subscribe(strings.Replace(subject, "/>", "/room/back-1", 1), func(m *nats.Msg) {
			if len(m.Data) > 0 {
				count.Add(1)
			}
		})
		require.NoError(t, err)
	}
	require.NoError(t, ear.Flush())
	w.front, w.back = w.transport(t), w.transport(t)
	w.client = newTestClient(t, w.front, rpcPatience)
	return w
}

func (w *bundleWorld) transport(t *testing.T) *NATSTransport {
	t.Helper()
	transport, err := NewNATSTransport(NATSParams{URL: w.url, Options: w.options})
	require.NoError(t, err)
	initModule(t, transport)
	return transport
}

func (w *bundleWorld) connect(t *testing.T) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(w.url, w.options...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// together has what publish sends be sent at the same moment.
func together(t *NATSTransport, publish func()) {
	busy, release := make(chan struct{}), make(chan struct{})
	t.queue.do(func() { close(busy); <-release })
	<-busy
	publish()
	close(release)
}

// calls makes n calls at the same moment and returns what they answered.
func (w *bundleWorld) calls(to *Server, n int, data func(i int) []byte) ([]*clusterpb.Response, []error) {
	responses, failures := make([]*clusterpb.Response, n), make([]error, n)
	var done sync.WaitGroup
	done.Add(n)
	together(w.front, func() {
		for i := range n {
			w.client.Go(to, userRequest("a.b", data(i)), 0, func(r *clusterpb.Response, err error) {
				responses[i], failures[i] = r, err
				done.Done()
			})
		}
	})
	done.Wait()
	return responses, failures
}

// answerTogether is a handler that answers n requests at the same moment, and
// the data of them in the order they came.
func (w *bundleWorld) answerTogether(n int) (serveFunc, *[]string) {
	var came []*Incoming
	var order []string
	return func(in *Incoming) {
		came = append(came, in)
		order = append(order, string(in.Request.Msg.Data))
		if len(came) < n {
			return
		}
		go together(w.back, func() {
			for _, in := range came {
				echo(in)
			}
		})
	}, &order
}

func number(i int) []byte { return []byte(strconv.Itoa(i)) }

func TestBundles(t *testing.T) {
	t.Parallel()
	const n = 100
	large := string(bytes.Repeat([]byte{'x'}, bundledBytes))
	data := func(i int) []byte {
		if i == 40 { // travels alone, in its turn
			return []byte(large)
		}
		return number(i)
	}
	for name, c := range map[string]struct {
		caps     []string
		messages int64
	}{
		"with":    {backendServer("back-1").Caps, 2 + 1 + 2}, // 32, 8, large, 32, 27
		"without": {nil, n},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newBundleWorld(t)
			to := backendServer("back-1")
			to.Caps = c.caps
			handler, order := w.answerTogether(n)
			newTestServer(t, w.back, to, handler)
			responses, failures := w.calls(to, n, data)
			for i := range n {
				require.NoError(t, failures[i])
				require.Equal(t, string(data(i)), string(responses[i].Data))
				require.Equal(t, string(data(i)), (*order)[i])
			}
			require.Eventually(t, func() bool { return w.requests.Load() == c.messages && w.replies.Load() == c.messages },
				rpcPatience, time.Millisecond, "%d requests, %d replies", &w.requests, &w.replies)
		})
	}
}

// What answers or data keep of a bundle is a copy of theirs alone.
func TestBundledBytesAreTheHolders(t *testing.T) {
	t.Parallel()
	w := newBundleWorld(t)
	var kept [][]byte
	newTestServer(t, w.back, backendServer("back-1"), func(in *Incoming) {
		kept = append(kept, in.Request.Msg.Data)
		clear(kept[0][:cap(kept[0])])
		echo(in)
	})
	responses, failures := w.calls(backendServer("back-1"), 10, number)
	for i := 1; i < 10; i++ {
		require.NoError(t, failures[i])
		require.Equal(t, string(number(i)), string(responses[i].Data))
	}
}

func TestBundleThatReachesNobody(t *testing.T) {
	t.Parallel()
	w := newBundleWorld(t)
	began := time.Now()
	_, failures := w.calls(backendServer("gone"), 100, number)
	for _, err := range failures {
		require.True(t, IsUndelivered(err), "%v", err)
	}
	require.Less(t, time.Since(began), rpcPatience)
	require.Zero(t, w.client.pending.count.Load())
}

// A call that is over before its bundle is sent does not travel.
func TestBundleWithoutWhatIsOver(t *testing.T) {
	t.Parallel()
	w := newBundleWorld(t)
	const n = 20
	handler, order := w.answerTogether(n / 2)
	newTestServer(t, w.back, backendServer("back-1"), handler)
	answers := make(chan error, n)
	together(w.front, func() {
		for i := range n {
			token, err := w.client.start(backendServer("back-1"), userRequest("a.b", number(i)), 0,
				doneFunc(func(_ *clusterpb.Response, err error) { answers <- err }))
			require.NoError(t, err)
			if i%2 == 0 { // among them the first, whose name the bundle has
				_, ok := w.client.pending.take(token)
				require.True(t, ok)
			}
		}
	})
	for range n / 2 {
		require.NoError(t, <-answers)
	}
	require.Len(t, *order, n/2)
	require.Eventually(t, func() bool { return w.requests.Load() == 1 }, rpcPatience, time.Millisecond)
}

// Damaged bundles, which only a stranger sends, cost their sender alone.
func TestDamagedBundles(t *testing.T) {
	t.Parallel()
	w := newBundleWorld(t)
	metrics := &countedEvents{}
	server := NewRPCServer(RPCServerParams{
		Self: backendServer("back-1"), Transport: w.back, Prefix: "pitaya/", Handler: serveFunc(echo), Metrics: metrics,
	})
	initModule(t, server)
	stranger := w.connect(t)
	replies, err := stranger.SubscribeSync("_INBOX.stranger.*")
	require.NoError(t, err)
	send := func(reply string, data []byte) {
		require.NoError(t, stranger.PublishRequest("pitaya/servers/room/back-1", reply, data))
	}
	member := func(token, body string) []byte {
		return append(append([]byte{byte(len(token))}, token...), append([]byte{byte(len(body))}, body...)...)
	}
	fine := string(marshal(t, userRequest("a.b", nil)))
	for _, damaged := range [][]byte{
		{0}, {1}, {1, 'a'}, {1, 'a', 0x80}, {1, 'a', 5, 'x'}, {255, 'a'}, []byte("\x03a.b\x00"), []byte("\x01>\x00"), []byte("\x01A\x00"),
		append([]byte{1, 'a'}, bytes.Repeat([]byte{0xff}, 11)...),
		bytes.Repeat(member("a", fine), bundleAccepted+1),
	} {
		before := metrics.of(EventMalformed)
		send("_INBOX.stranger.~1", damaged)
		require.Eventually(t, func() bool { return metrics.of(EventMalformed) > before }, rpcPatience, time.Millisecond, "%q", damaged)
	}
	for answered := 0; answered < bundleAccepted; { // of the one that was too long
		answered += len(nextReplies(t, replies))
	}

	send("_INBOX.stranger.~2", append(member("b", "no request"), member("c", fine)...))
	codes := make(map[string]errs.Code)
	for len(codes) < 2 {
		for token, body := range nextReplies(t, replies) {
			_, err := decodeResponse(body)
			codes[token] = errs.CodeOf(err)
		}
	}
	require.Equal(t, map[string]errs.Code{"b": errs.CodeBadRequest, "c": ""}, codes)
}

// nextReplies are those of the next message, by token. Those of the same token
// have numbers.
func nextReplies(t *testing.T, sub *nats.Subscription) map[string][]byte {
	t.Helper()
	m, err := sub.NextMsg(rpcPatience)
	require.NoError(t, err)
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if token != bundleMark {
		return map[string][]byte{token: m.Data}
	}
	replies := make(map[string][]byte)
	require.NoError(t, eachBundled(m.Data, func(token, body []byte) {
		key := string(token)
		if _, twice := replies[key]; twice {
			key += strconv.Itoa(len(replies))
		}
		replies[key] = body
	}))
	return replies
}

func FuzzEachBundled(f *testing.F) {
	f.Add([]byte("\x01a\x00\x02bc\x03xyz"))
	f.Add([]byte{1, 'a', 0x80, 0x80, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		var again []byte
		err := eachBundled(data, func(token, body []byte) {
			again = appendBundled(again, &outgoing{bundle: bundleMark, subject: string(token), body: &buffer{b: body}})
		})
		if err != nil {
			return
		}
		var tokens, bodies []string
		require.NoError(t, eachBundled(again, func(token, body []byte) {
			tokens, bodies = append(tokens, string(token)), append(bodies, string(body))
		}))
		n := 0
		require.NoError(t, eachBundled(data, func(token, body []byte) {
			require.Equal(t, tokens[n], string(token))
			require.Equal(t, bodies[n], string(body))
			n++
		}))
		require.Len(t, tokens, n)
	})
}
