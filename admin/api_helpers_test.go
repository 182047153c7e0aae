package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/admin"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/embedded"
)

const (
	token = "a-token-of-operators"
	// patience is how long something may take on a slow machine before a test fails.
	patience = 20 * time.Second
)

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}

func server(serverType, id string) *cluster.Server {
	return &cluster.Server{ID: id, Type: serverType, Metadata: map[string]string{"stack": "blue"}, Hostname: "host"}
}

// module is what both kinds of discovery are.
type module interface {
	Init(ctx context.Context) error
	Register(ctx context.Context) error
	Shutdown(ctx context.Context) error
}

func run(t testing.TB, d module) {
	t.Helper()
	require.NoError(t, d.Init(testContext(t)))
	t.Cleanup(func() { require.NoError(t, d.Shutdown(context.Background())) })
}

// inMemory is a discovery of a registry; a server that is not nil is registered.
func inMemory(t testing.TB, registry *cluster.MemoryRegistry, self *cluster.Server) *cluster.MemoryDiscovery {
	t.Helper()
	d, err := cluster.NewMemoryDiscovery(registry, self, nil)
	require.NoError(t, err)
	run(t, d)
	if self != nil {
		require.NoError(t, d.Register(testContext(t)))
	}
	require.NoError(t, d.SyncServers(testContext(t)))
	return d
}

func startEtcd(t testing.TB) string {
	t.Helper()
	c, err := embedded.Start(testContext(t), embedded.WithoutNATS())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c.EtcdEndpoints()[0]
}

// inEtcd is the same over etcd.
func inEtcd(t testing.TB, endpoint string, self *cluster.Server) *cluster.EtcdDiscovery {
	t.Helper()
	d, err := cluster.NewEtcdDiscovery(cluster.EtcdParams{Self: self, Endpoints: []string{endpoint}, Prefix: "t/", BootTimeout: patience})
	require.NoError(t, err)
	run(t, d)
	if self != nil {
		require.NoError(t, d.Register(testContext(t)))
	}
	return d
}

func sees(d cluster.ServiceDiscovery, id string) func() bool {
	return func() bool {
		s, ok := d.Server(id)
		return ok && s.State != cluster.StateLeft && s.State != cluster.StateSuspect
	}
}

// operator is somebody with the token.
type operator struct {
	t    testing.TB
	url  string
	http *http.Client
}

func serveAPI(t *testing.T, d admin.Discovery) operator {
	t.Helper()
	return serve(t, admin.Params{Token: token, Discovery: d})
}

func serve(t *testing.T, p admin.Params) operator {
	t.Helper()
	return newOperator(t, start(t, p))
}

func newOperator(t testing.TB, url string) operator {
	return operator{t: t, url: url, http: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// slow is the operator with connections that hold next to nothing of what was not read.
func (o operator) slow() operator {
	o.http = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, ReadBufferSize: 4 << 10,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			}
			return conn, err
		},
	}}
	return o
}

// reply is what an operator was answered.
type reply struct {
	status int
	header http.Header
	body   map[string]any
}

// at follows keys into the body.
func (r reply) at(t testing.TB, path ...string) any {
	t.Helper()
	var value any = r.body
	for _, key := range path {
		in, ok := value.(map[string]any)
		require.True(t, ok, "%v has no %s", value, key)
		value = in[key]
	}
	return value
}

// do makes a request; header is pairs of names and values.
func (o operator) do(method, path, body string, header ...string) reply {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	res := o.send(ctx, method, path, body, header...)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(o.t, err)
	r := reply{status: res.StatusCode, header: res.Header}
	require.Equal(o.t, "application/json", res.Header.Get("Content-Type"), string(text))
	require.Equal(o.t, "no-store", res.Header.Get("Cache-Control"))
	require.NoError(o.t, json.Unmarshal(text, &r.body))
	if r.status >= 400 {
		require.NotEmpty(o.t, r.body["error"])
	}
	return r
}

func (o operator) get(path string) reply { o.t.Helper(); return o.do(http.MethodGet, path, "") }

func (o operator) patch(path, body string, header ...string) reply {
	o.t.Helper()
	return o.do(http.MethodPatch, path, body, header...)
}

func (o operator) send(ctx context.Context, method, path, body string, header ...string) *http.Response {
	o.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, o.url+path, strings.NewReader(body))
	require.NoError(o.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
		if header[n+1] == "" {
			req.Header.Del(header[n])
		}
	}
	res, err := o.http.Do(req)
	require.NoError(o.t, err)
	return res
}

// message is one server-sent event.
type message struct {
	kind, id string
	data     struct {
		Type, Reason string
		Revision     int64
		Token        int64
		Stale        bool
		Server       *struct {
			ID, Type, State string
			Weight          int
			Revision        int64
			Metadata        map[string]string
		}
		Before *struct {
			State  string
			Weight int
		}
	}
}

// who is the message in short.
func (m message) who() string {
	text := m.kind
	if m.data.Server != nil {
		text += " " + m.data.Server.ID
	}
	if m.data.Reason != "" {
		text += " " + m.data.Reason
	}
	return text
}

// listening is a stream of events.
type listening struct {
	t     testing.TB
	res   *http.Response
	in    *bufio.Reader
	close func()
	last  string // id

	onServers bool // events of leaders are heard elsewhere
}

// listen asks for events; it is closed with the test, or before.
func (o operator) listen(query, lastID string) *listening {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	res := o.send(ctx, http.MethodGet, "/v1/events"+query, "", "Last-Event-ID", lastID)
	l := &listening{t: o.t, res: res, in: bufio.NewReader(res.Body), last: lastID, close: func() { cancel(); _ = res.Body.Close() }}
	o.t.Cleanup(l.close)
	require.Equal(o.t, http.StatusOK, res.StatusCode)
	require.Equal(o.t, "text/event-stream", res.Header.Get("Content-Type"))
	return l
}

// block reads up to an empty line.
func (l *listening) block() ([]byte, error) {
	var text []byte
	for {
		line, err := l.in.ReadBytes('\n')
		if err != nil || len(line) == 1 {
			return text, err
		}
		text = append(text, line...)
	}
}

// next is the next event; the error is the end of the stream.
func (l *listening) next() (message, error) {
	for {
		text, err := l.block()
		if err != nil {
			return message{}, err
		}
		if m, ok := l.parse(text); ok && !(l.onServers && m.kind == "leader") {
			return m, nil
		}
	}
}

// parse does what the HTML standard says; false is a block without an event.
func (l *listening) parse(text []byte) (m message, ok bool) {
	for line := range bytes.Lines(text) {
		field, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), ": ")
		switch field {
		case "event":
			m.kind = value
		case "id":
			m.id, l.last = value, value
		case "data":
			ok = true
			require.NoError(l.t, json.Unmarshal([]byte(value), &m.data))
		}
	}
	return m, ok
}

func (l *listening) hears(want ...string) {
	l.t.Helper()
	for _, w := range want {
		m, err := l.next()
		require.NoError(l.t, err, "instead of %s", w)
		require.Equal(l.t, w, m.who())
	}
}
