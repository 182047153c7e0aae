package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/admin"
	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

func TestAPINeedsTheToken(t *testing.T) {
	t.Parallel()
	o := serveAPI(t, inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1")))
	for _, header := range []string{
		"", "Bearer", "Bearer ", "Basic " + token, token, "Bearer " + token[:len(token)-1], "Bearer " + token + "x",
		"Bearer " + strings.Repeat("x", 4000), "Bearer  x", "Bearer null",
	} {
		for _, path := range []string{"/v1/services", "/v1/events", "/v1/nothing"} {
			r := o.do(http.MethodGet, path, "", "Authorization", header)
			require.Equal(t, http.StatusUnauthorized, r.status, header)
			require.True(t, strings.HasPrefix(r.header.Get("WWW-Authenticate"), `Bearer realm="cereus"`))
			require.NotContains(t, r.body["error"], token)
		}
	}
	for _, header := range []string{"Bearer " + token, "bearer " + token, "BEARER  " + token} {
		require.Equal(t, http.StatusOK, o.do(http.MethodGet, "/v1/services", "", "Authorization", header).status)
	}
}

func TestAPIIsOffWithoutTokenOrDiscovery(t *testing.T) {
	t.Parallel()
	d := inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1"))
	for _, p := range []admin.Params{{Discovery: d}, {Token: token}} {
		status, _, _ := request(t, http.MethodGet, start(t, p)+"/v1/services")
		require.Equal(t, http.StatusNotFound, status)
	}
}

func TestAPITokenHasALength(t *testing.T) {
	t.Parallel()
	s := admin.New(admin.Params{Address: "0", Token: "fifteen letters"})
	require.ErrorContains(t, s.Init(t.Context()), "admin.token")
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestAPIServices(t *testing.T) {
	t.Parallel()
	registry := cluster.NewMemoryRegistry()
	d := inMemory(t, registry, server("room", "r1"))
	paused := inMemory(t, registry, server("room", "r2"))
	require.NoError(t, paused.Edit(testContext(t), cluster.Edit{State: cluster.StatePaused}))
	inMemory(t, registry, &cluster.Server{ID: "g1", Type: "gate", Frontend: true, Weight: 50, Nonce: "n", Caps: []string{"order"}})
	require.NoError(t, d.SyncServers(testContext(t)))
	o := serve(t, admin.Params{Token: token, Discovery: d, Load: func(id string) (any, bool) {
		return map[string]float64{"cpu": 0.25}, id == "g1"
	}})

	r := o.get("/v1/services")
	require.Equal(t, http.StatusOK, r.status)
	revision := d.Snapshot().Revision()
	require.Equal(t, fmt.Sprint(revision), r.header.Get("X-Cereus-Revision"))
	require.EqualValues(t, revision, r.body["revision"])
	require.Equal(t, []any{
		map[string]any{"name": "gate", "servers": 1.0, "available": 1.0, "leader": nil},
		map[string]any{"name": "room", "servers": 2.0, "available": 1.0, "leader": nil},
	}, r.body["services"])

	r = o.get("/v1/services/room")
	require.Equal(t, http.StatusOK, r.status)
	require.EqualValues(t, 2, r.at(t, "service", "servers"))
	instances := r.body["instances"].([]any)
	require.Len(t, instances, 2)
	require.Equal(t, "r1", instances[0].(map[string]any)["id"])
	require.Equal(t, "paused", instances[1].(map[string]any)["state"])

	g1, _ := d.Server("g1")
	r = o.get("/v1/services/gate/instances/g1")
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, fmt.Sprintf(`"%d"`, g1.Revision), r.header.Get("ETag"))
	require.Equal(t, map[string]any{
		"id": "g1", "type": "gate", "state": "up", "weight": 50.0, "metadata": map[string]any{}, "frontend": true, "hostname": "",
		"cereus": true, "caps": []any{"order"}, "epoch": float64(g1.Epoch), "revision": float64(g1.Revision), "load": map[string]any{"cpu": 0.25},
	}, r.body["instance"])
}

func TestAPIOfWhoIsGone(t *testing.T) {
	t.Parallel()
	registry := cluster.NewMemoryRegistry()
	d, leaver := inMemory(t, registry, server("room", "r1")), inMemory(t, registry, server("room", "r2"))
	inMemory(t, registry, server("chat", "c1"))
	inMemory(t, registry, server("match", "m1"))
	require.NoError(t, leaver.Deregister(testContext(t)))
	registry.Crash("chat", "c1")
	require.NoError(t, d.SyncServers(testContext(t)))
	o := serveAPI(t, d)
	for path, why := range map[string]string{
		"room/instances/r2": "left", "chat/instances/c1": "suspect", "room/instances/r3": "no server", "chat/instances/r1": "is of type room", "chat": "no server",
		"chat/leader": "no server", "room/leader": "no leader",
	} {
		r := o.get("/v1/services/" + path)
		require.Equal(t, http.StatusNotFound, r.status, path)
		require.Contains(t, r.body["error"], why)
	}
	d.Suspect("m1")
	eventually(t, func() bool { return len(d.ServersByType("match")) == 0 }, "suspected")
	r := o.get("/v1/services/match/instances/m1")
	require.Equal(t, http.StatusOK, r.status, "who is there and not reached is there")
	require.Equal(t, "suspect", r.at(t, "instance", "state"))
}

func TestAPIHostileRoutes(t *testing.T) {
	t.Parallel()
	o := serveAPI(t, inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1")))
	long := strings.Repeat("x", 3000)
	for path, want := range map[string]int{
		"/v1/services/" + long: 400, "/v1/services/a%2Fb": 400, "/v1/services/room%00": 400, "/v1/services/%C3%28": 400,
		"/v1/services/room/instances/" + long: 400, "/v1/services/room/instances/r1%2F..%2Fr1": 400, "/v1/services/room/instances/r1/": 404,
		"/v1/services/room/instances/": 404, "/v1/services/%2E%2E%2Froom": 400, "/v1/services/room/instances/r1%20": 400,
		"/v1/services/x\"y%0A/instances/z": 400, "/v1/": 404, "/v1/services/": 404, "/v1/services/room/other": 404,
		"/v1/events?type=" + long: 400, "/v1/events?type=%0A": 400, "/v1/events?type=%zz": 400,
		"/v1/events?type=": 400, "/v1/events?Type=room": 400, "/v1/events?type=room&type=gate": 400,
	} {
		r := o.get(path)
		require.Equal(t, want, r.status, path)
		require.Less(t, len(r.body["error"].(string)), 300)
	}
	res := o.send(testContext(t), http.MethodGet, "/v1/services/room/instances/../x", "")
	require.NoError(t, res.Body.Close())
	require.Equal(t, "/v1/services/room/x", res.Header.Get("Location"), "net/http tidies up and asks again")
	for path, allow := range map[string]string{
		"/v1/services": "GET, HEAD", "/v1/services/room/instances/r1": "GET, HEAD, PATCH", "/v1/services/room/leader": "DELETE, GET, HEAD, PUT", "/v1/events": "GET, HEAD",
	} {
		r := o.do(http.MethodPost, path, `{}`)
		require.Equal(t, http.StatusMethodNotAllowed, r.status)
		require.Equal(t, allow, r.header.Get("Allow"))
	}
}

func TestAPIBeforeDiscoveryStarted(t *testing.T) {
	t.Parallel()
	d, err := cluster.NewMemoryDiscovery(cluster.NewMemoryRegistry(), server("room", "r1"), nil)
	require.NoError(t, err)
	o := serveAPI(t, d)
	for _, path := range []string{"/v1/services", "/v1/events"} {
		r := o.get(path)
		require.Equal(t, http.StatusServiceUnavailable, r.status)
		require.Equal(t, "1", r.header.Get("Retry-After"))
	}
}

func TestAPILoadThatIsNoJSON(t *testing.T) {
	t.Parallel()
	o := serve(t, admin.Params{Token: token, Discovery: inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1")), Load: func(string) (any, bool) {
		return func() {}, true
	}})
	require.Equal(t, http.StatusInternalServerError, o.get("/v1/services/room").status)
	require.Equal(t, http.StatusOK, o.get("/v1/services").status)
}

func TestAPIEditIsNotForEveryDiscovery(t *testing.T) {
	t.Parallel()
	o := serveAPI(t, inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1")))
	require.Equal(t, http.StatusNotImplemented, o.patch("/v1/services/room/instances/r1", `{"weight":1}`).status)
	require.Equal(t, http.StatusNotImplemented, o.do(http.MethodPut, "/v1/services/room/leader", `{"id":"r1"}`).status)
	require.Equal(t, http.StatusNotImplemented, o.do(http.MethodDelete, "/v1/services/room/leader", "").status)
}

// chooser is a discovery whose leaders are somebody else's affair.
type chooser struct {
	*cluster.MemoryDiscovery

	set func(serverType, id string) error
}

func (c chooser) SetLeader(_ context.Context, serverType, id string) error {
	return c.set(serverType, id)
}

func TestAPILeaderRequests(t *testing.T) {
	t.Parallel()
	d := chooser{inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1")), func(serverType, id string) error {
		switch {
		case serverType == "room" && id == "":
			return nil
		case serverType == "none":
			return fmt.Errorf("of it: %w", cluster.ErrUnfit)
		}
		return errors.New("etcd says no")
	}}
	o := serveAPI(t, d)
	for body, want := range map[string]int{
		`{"id":"r1"}`: 502, `{"id":"r2"}`: 404, `{"id":""}`: 400, `{"id":null}`: 400, `{"id":1}`: 400, `{}`: 400, `null`: 400, `[]`: 400,
		`{"id":"r1","x":"y"}`: 400, `{"ID":"r1"}`: 400, `{"id":"r1"}}`: 400, `{"id":"` + strings.Repeat("r", 1000) + `"}`: 400,
		`{"id":"` + strings.Repeat("r", 64<<10) + `"}`: 413,
	} {
		require.Equal(t, want, o.do(http.MethodPut, "/v1/services/room/leader", body).status, body)
	}
	require.Equal(t, http.StatusUnsupportedMediaType, o.do(http.MethodPut, "/v1/services/room/leader", `{"id":"r1"}`, "Content-Type", "text/plain").status)
	require.Equal(t, http.StatusConflict, o.do(http.MethodDelete, "/v1/services/none/leader", "").status)
	require.Equal(t, http.StatusBadRequest, o.do(http.MethodDelete, "/v1/services/a%2Fb/leader", "").status)
	r := o.do(http.MethodDelete, "/v1/services/room/leader", "")
	require.Equal(t, http.StatusOK, r.status)
	require.Nil(t, r.body["leader"])
}

func TestHealthzTellsWhatIsDegraded(t *testing.T) {
	t.Parallel()
	list := []admin.Check{{Name: "nats"}, {Name: "etcd", Err: errors.New("away\nfor long")}, {Name: "disk", Err: errors.New("full")}}
	status, kind, body := request(t, http.MethodGet, start(t, admin.Params{Degraded: func() []admin.Check { return list }})+"/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/plain; charset=utf-8", kind)
	require.Equal(t, "degraded\netcd: away; for long\ndisk: full\n", body)
	_, _, body = request(t, http.MethodGet, start(t, admin.Params{Degraded: func() []admin.Check { return list[:1] }})+"/healthz")
	require.Equal(t, "ok\n", body)
	status, _, body = request(t, http.MethodGet, start(t, admin.Params{Degraded: func() []admin.Check { panic("boom") }})+"/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "degraded\nchecks: a check panicked: boom\n", body)
}

// While etcd is away the API answers with what was last known, and says so.
func TestAPISaysWhenItIsStale(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t))
	d := inEtcd(t, proxy.Addr(), server("room", "r1"))
	eventually(t, func() bool { _, leads := d.Leader("room"); return leads }, "joined, and leads")
	o := serveAPI(t, d)
	says := func(stale any, header string) {
		for _, path := range []string{"", "/room", "/room/instances/r1", "/room/leader"} {
			r := o.get("/v1/services" + path)
			require.Equal(t, http.StatusOK, r.status)
			require.Equal(t, stale, r.at(t, "stale"), path)
			require.Equal(t, header, r.header.Get("X-Cereus-Stale"), path)
		}
		require.Equal(t, header, o.get("/v1/services/none").header.Get("X-Cereus-Stale"))
		l := o.listen("", "")
		defer l.close()
		require.Equal(t, header, l.res.Header.Get("X-Cereus-Stale"))
		for m := (message{}); m.kind != "current"; {
			var err error
			m, err = l.next()
			require.NoError(t, err)
			require.Equal(t, m.kind == "current" && stale == true, m.data.Stale)
		}
	}
	says(nil, "")
	require.NoError(t, proxy.Refuse())
	proxy.Cut(faultproxy.RST)
	eventually(t, d.Stale, "etcd is away")
	says(true, "1")
	require.NoError(t, proxy.Accept())
	eventually(t, func() bool { return !d.Stale() }, "etcd is back")
	says(nil, "")
}
