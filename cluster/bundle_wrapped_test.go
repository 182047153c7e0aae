package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// startNATSServer starts a NATS server with options that embedded has none for.
func startNATSServer(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", -1, true, true
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(rpcPatience))
	return s
}

// Where NATS's bytes are wrapped, bundles go through nats.go.
func TestBundlesWithoutTheSocket(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cert, err := tls.LoadX509KeyPair(a.issue("nats", 2, "127.0.0.1"))
	require.NoError(t, err)
	secret := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
	trust := nats.Secure(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13})
	for name, c := range map[string]struct {
		options server.Options
		url     func(s *server.Server) string
		connect []nats.Option
	}{
		"tls":       {server.Options{TLSConfig: secret, TLSTimeout: rpcPatience.Seconds()}, (*server.Server).ClientURL, []nats.Option{trust}},
		"websocket": {server.Options{Websocket: server.WebsocketOpts{Host: "127.0.0.1", Port: -1, NoTLS: true}}, (*server.Server).WebsocketURL, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newBundleWorldAt(t, c.url(startNATSServer(t, &c.options)), c.connect...)
			require.False(t, w.front.state.Load().direct)
			const n = 100
			handler, order := w.answerTogether(n)
			newTestServer(t, w.back, backendServer("back-1"), handler)
			responses, failures := w.calls(backendServer("back-1"), n, number)
			for i := range n {
				require.NoError(t, failures[i])
				require.Equal(t, string(number(i)), string(responses[i].Data))
				require.Equal(t, string(number(i)), (*order)[i])
			}
			require.Eventually(t, func() bool { return w.requests.Load() == 4 && w.replies.Load() == 4 }, rpcPatience, time.Millisecond)
			_, failures = w.calls(backendServer("gone"), n, number)
			for _, err := range failures {
				require.True(t, IsUndelivered(err), "%v", err)
			}
		})
	}
}

// A bundle is not larger than what NATS accepts, which closes the connection of
// who sends more.
func TestBundlesOfASmallNATS(t *testing.T) {
	t.Parallel()
	const limit, n = 1000, 100
	w := newBundleWorldAt(t, startNATSServer(t, &server.Options{MaxPayload: limit}).ClientURL())
	handler, _ := w.answerTogether(n)
	newTestServer(t, w.back, backendServer("back-1"), handler)
	data := func(i int) []byte { return fmt.Appendf(nil, "%0*d", i*8, i) }
	responses, failures := w.calls(backendServer("back-1"), n, data)
	for i := range n {
		require.NoError(t, failures[i])
		require.Equal(t, string(data(i)), string(responses[i].Data))
	}
	require.Eventually(t, func() bool { return w.requests.Load() > 1 && w.requests.Load() < n }, rpcPatience, time.Millisecond)
	require.EqualValues(t, 1, w.front.status().epoch)
	require.EqualValues(t, 1, w.back.status().epoch)
}

// What tells a callee of a cancelled call is its reply subject, which a bundle
// does not show.
func TestN02_ACallInABundleIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newBundleWorld(t)
	const n, one = 10, 7
	came, cancelled := make(chan *Incoming, n), make(chan string, n)
	room := listening("back-1")
	newTestServer(t, w.back, room, func(in *Incoming) {
		in.OnCancel(func() { cancelled <- string(in.Request.Msg.Data) })
		came <- in
	})
	tokens, answers := make([]uint64, n), make(chan error, n)
	together(w.front, func() {
		for i := range n {
			token, err := w.client.start(room, userRequest("a.b", number(i)), 0,
				doneFunc(func(_ *clusterpb.Response, err error) { answers <- err }))
			require.NoError(t, err)
			tokens[i] = token
		}
	})
	all := make([]*Incoming, n)
	for i := range n {
		all[i] = <-came
	}
	require.Eventually(t, func() bool { return w.requests.Load() == 1 }, rpcPatience, time.Millisecond)
	call, ok := w.client.pending.take(tokens[one])
	require.True(t, ok)
	w.client.takeBack(t.Context(), tokens[one], call.info)
	require.Equal(t, string(number(one)), <-cancelled)
	for i, in := range all {
		require.Equal(t, i == one, in.Cancelled())
		echo(in)
	}
	for range n - 1 {
		require.NoError(t, <-answers)
	}
	require.Empty(t, cancelled)
}
