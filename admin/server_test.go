package admin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/admin"
)

// start runs a server on a free port and returns its URL.
func start(t *testing.T, p admin.Params) string {
	t.Helper()
	if p.Address == "" {
		p.Address = "127.0.0.1:0"
	}
	s := admin.New(p)
	require.NoError(t, s.Init(t.Context()))
	require.NoError(t, s.AfterInit(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		s.BeforeShutdown(ctx)
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, s.Shutdown(ctx), "again")
	})
	return "http://" + s.Addr().String()
}

// request returns the status, content type and body of an answer.
func request(t *testing.T, method, url string) (int, string, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Header.Get("Content-Type"), string(body)
}

func TestHealthz(t *testing.T) {
	t.Parallel()
	url := start(t, admin.Params{})
	status, kind, body := request(t, http.MethodGet, url+"/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/plain; charset=utf-8", kind)
	require.Equal(t, "ok\n", body)
	status, _, _ = request(t, http.MethodPost, url+"/healthz")
	require.Equal(t, http.StatusMethodNotAllowed, status)
	status, _, _ = request(t, http.MethodGet, url+"/other")
	require.Equal(t, http.StatusNotFound, status)
}

func TestReadyzTellsWhatIsNotReadyAndWhy(t *testing.T) {
	t.Parallel()
	var checks atomic.Pointer[[]admin.Check]
	url := start(t, admin.Params{Checks: func() []admin.Check { return *checks.Load() }})

	checks.Store(&[]admin.Check{{Name: "nats", Err: errors.New(`no connection to "n1"`)}, {Name: "etcd"}, {Name: "app", Err: errors.New("stopping")}})
	status, kind, body := request(t, http.MethodGet, url+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "application/json", kind)
	require.JSONEq(t, `[{"name":"nats","why":"no connection to \"n1\""},{"name":"app","why":"stopping"}]`, body)

	checks.Store(&[]admin.Check{{Name: "nats"}, {Name: "etcd"}})
	status, _, body = request(t, http.MethodGet, url+"/readyz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "[]\n", body)
}

func TestReadyzWithoutChecksIsReady(t *testing.T) {
	t.Parallel()
	status, _, body := request(t, http.MethodGet, start(t, admin.Params{})+"/readyz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "[]\n", body)
}

func TestN19_CheckPanics(t *testing.T) {
	t.Parallel()
	url := start(t, admin.Params{Checks: func() []admin.Check { panic("boom") }})
	status, _, body := request(t, http.MethodGet, url+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.JSONEq(t, `[{"name":"checks","why":"a check panicked: boom"}]`, body)
	status, _, _ = request(t, http.MethodGet, url+"/healthz")
	require.Equal(t, http.StatusOK, status)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "sevens_total", Help: "seven"}, func() float64 { return 7 }))
	status, _, body := request(t, http.MethodGet, start(t, admin.Params{Registry: registry})+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "\nsevens_total 7\n")

	status, _, body = request(t, http.MethodGet, start(t, admin.Params{})+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, body)
}

func TestPprofOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	off, on := start(t, admin.Params{}), start(t, admin.Params{Pprof: admin.WithPprof})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/heap?gc=1", "/debug/pprof/trace?seconds=0.01"} {
		status, _, _ := request(t, http.MethodGet, off+path)
		require.Equal(t, http.StatusNotFound, status, path)
		status, _, body := request(t, http.MethodGet, on+path)
		require.Equal(t, http.StatusOK, status, path)
		require.NotEmpty(t, body)
	}
}

func TestPprofProfiles(t *testing.T) {
	t.Parallel()
	url := start(t, admin.Params{Pprof: admin.WithPprof}) + "/debug/pprof/"
	_, kind, body := request(t, http.MethodGet, url)
	require.Equal(t, "text/plain; charset=utf-8", kind)
	require.Contains(t, body, "goroutine ")
	_, kind, body = request(t, http.MethodGet, url+"goroutine?debug=2")
	require.Equal(t, "text/plain; charset=utf-8", kind)
	require.Contains(t, body, "TestPprofProfiles")
	for _, path := range []string{"allocs", "profile?seconds=0.05"} {
		status, kind, body := request(t, http.MethodGet, url+path)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "application/octet-stream", kind)
		require.Equal(t, "\x1f\x8b", body[:2], "a gzipped profile")
	}
	for path, want := range map[string]int{
		"none": http.StatusNotFound, "profile?seconds=x": http.StatusBadRequest, "trace?seconds=-1": http.StatusBadRequest,
		"profile?seconds=3600": http.StatusBadRequest, "heap?debug=x": http.StatusBadRequest,
	} {
		status, _, _ := request(t, http.MethodGet, url+path)
		require.Equal(t, want, status, path)
	}
}

func TestBarePortListensOnLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0", ":0"} {
		s := admin.New(admin.Params{Address: address})
		require.NoError(t, s.Init(t.Context()))
		require.True(t, s.Addr().(*net.TCPAddr).IP.IsLoopback())
		require.NoError(t, s.Shutdown(t.Context()))
	}
}

func TestOffByDefault(t *testing.T) {
	t.Parallel()
	s := admin.New(admin.Params{})
	require.Equal(t, "admin", s.Name())
	require.NoError(t, s.Init(t.Context()))
	require.Nil(t, s.Addr())
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestAddressTakenIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	s := admin.New(admin.Params{Address: listener.Addr().String()})
	require.ErrorContains(t, s.Init(t.Context()), listener.Addr().String())
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestShutdownWaitsForRequestsAndIsBounded(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s := admin.New(admin.Params{Address: "0", Checks: func() []admin.Check {
		close(entered)
		<-release
		return nil
	}})
	require.NoError(t, s.Init(t.Context()))
	url := "http://" + s.Addr().String() + "/readyz"
	answered := make(chan error, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get(url)
		if err == nil {
			err = res.Body.Close()
		}
		answered <- err
	}()
	<-entered
	short, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorContains(t, s.Shutdown(short), "cut off")
	require.Error(t, <-answered)
	close(release)
}

// Not parallel: a process records one CPU profile at a time.
func TestShutdownEndsRecordings(t *testing.T) {
	s := admin.New(admin.Params{Address: "0", Pprof: admin.WithPprof})
	require.NoError(t, s.Init(t.Context()))
	url := "http://" + s.Addr().String() + "/debug/pprof/profile?seconds="
	answered := make(chan string, 1)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	record := func() (int, string) {
		res, err := client.Get(url + "90")
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	go func() {
		status, body := record()
		for status == http.StatusConflict { // the request below was first
			status, body = record()
		}
		answered <- body
	}()
	require.Eventually(t, func() bool {
		status, _, _ := request(t, http.MethodGet, url+"0.001")
		return status == http.StatusConflict
	}, 20*time.Second, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, s.Shutdown(ctx))
	require.Equal(t, "\x1f\x8b", (<-answered)[:2], "what was recorded so far")
}
