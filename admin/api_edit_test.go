package admin_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/internal/faultproxy"
)

func TestAPIEdit(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	d, owner := inEtcd(t, endpoint, nil), inEtcd(t, endpoint, server("room", "r1"))
	eventually(t, sees(d, "r1"), "joined")
	o := serveAPI(t, d)
	const path = "/v1/services/room/instances/r1"

	first := o.get(path).header.Get("ETag")
	r := o.patch(path, `{"state":"draining","weight":50,"metadata":{"stack":null,"season":"winter"}}`, "Content-Type", "application/merge-patch+json; charset=utf-8", "If-Match", first)
	require.Equal(t, http.StatusOK, r.status)
	second := r.header.Get("ETag")
	require.NotEqual(t, first, second)
	require.Equal(t, "draining", r.at(t, "instance", "state"))
	require.EqualValues(t, 50, r.at(t, "instance", "weight"))
	require.Equal(t, map[string]any{"season": "winter"}, r.at(t, "instance", "metadata"))
	require.GreaterOrEqual(t, r.at(t, "revision"), r.at(t, "instance", "revision"))
	eventually(t, func() bool { return o.get(path).header.Get("ETag") == second }, "the view shows it")
	eventually(t, func() bool { return owner.Self().State == cluster.StateDraining && owner.Self().Weight == 50 }, "the owner took it over")

	for tag, want := range map[string]int{first: 412, "W/" + first: 412, `"0"`: 400, "0": 400, "-1": 400, `"x"`: 400, `"1","2"`: 400, strings.Repeat("9", 30): 400} {
		require.Equal(t, want, o.patch(path, `{"weight":1}`, "If-Match", tag).status, tag)
	}
	require.Equal(t, second, o.get(path).header.Get("ETag"), "none of these did anything")
	tag := second
	for _, form := range []func(string) string{strings.Clone, func(tag string) string { return "W/" + tag }, func(tag string) string { return strings.Trim(tag, `"`) }, func(string) string { return "*" }} {
		r := o.patch(path, `{"weight":7}`, "If-Match", form(tag))
		require.Equal(t, http.StatusOK, r.status)
		tag = r.header.Get("ETag")
	}
	require.Equal(t, http.StatusOK, o.patch(path, `{}`).status, "changes nothing")
}

func TestAPIEditRefuses(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	d := inEtcd(t, endpoint, server("room", "r1"))
	raw, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = raw.Close() })
	for id, value := range map[string]string{
		"pitaya": `{"id":"pitaya","type":"room","metadata":{},"frontend":false,"hostname":""}`,
		"newer":  `{"id":"newer","type":"room","metadata":{},"frontend":false,"hostname":"","cereus":{"v":2,"nonce":"n","caps":[],"state":"up","weight":0,"zone":"eu"}}`,
	} {
		_, err := raw.Put(testContext(t), "t/servers/room/"+id, value)
		require.NoError(t, err)
	}
	for _, id := range []string{"r1", "pitaya", "newer"} {
		eventually(t, sees(d, id), "joined")
	}
	o := serveAPI(t, d)
	const path = "/v1/services/room/instances/"
	before := o.get(path + "r1").header.Get("ETag")
	for body, want := range map[string]int{
		``: 415, `null`: 400, `[]`: 400, `"x"`: 400, `{`: 400, `{}{}`: 400, `{"state":"gone"}`: 400, `{"state":"left"}`: 400, `{"state":"suspect"}`: 400,
		`{"state":""}`: 400, `{"state":null}`: 400, `{"state":5}`: 400, `{"State":"up"}`: 400, `{"weight":-1}`: 400, `{"weight":10001}`: 400,
		`{"weight":1.5}`: 400, `{"weight":"1"}`: 400, `{"weight":1e99}`: 400, `{"weight":null}`: 400, `{"metadata":null}`: 400, `{"metadata":{"k":1}}`: 400,
		`{"metadata":["k"]}`: 400, `{"id":"r2"}`: 400, `{"weight":1,"nonce":"n"}`: 400, strings.Repeat("[", 60_000): 400,
		`{"metadata":{"k":"` + strings.Repeat("v", 65_500) + `"}}`: 400, // fits a body, not a server
		`{"metadata":{"k":"` + strings.Repeat("v", 65_600) + `"}}`: 413,
	} {
		require.Equal(t, want, o.patch(path+"r1", body).status, body[:min(len(body), 60)])
	}
	for body, want := range map[string]string{
		`{"status":"up"}`: "status cannot be changed: use state, weight and metadata",
		`{"<\n>":"up"}`:   "a field cannot be changed: use state, weight and metadata",
	} {
		require.Equal(t, want, o.patch(path+"r1", body).body["error"])
	}
	r := o.patch(path+"r1", `state=up`, "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusUnsupportedMediaType, r.status)
	require.Contains(t, r.header.Get("Accept-Patch"), "application/merge-patch+json")
	require.Equal(t, before, o.get(path+"r1").header.Get("ETag"), "none of these did anything")

	for id, why := range map[string]string{"pitaya": "Pitaya", "newer": "newer version"} {
		r := o.patch(path+id, `{"weight":1}`)
		require.Equal(t, http.StatusConflict, r.status)
		require.Contains(t, r.body["error"], why)
	}
	require.Equal(t, http.StatusNotFound, o.patch(path+"r9", `{"weight":1}`).status)
	require.Equal(t, http.StatusNotFound, o.patch("/v1/services/chat/instances/r1", `{"weight":1}`).status)
	require.NoError(t, d.Shutdown(testContext(t)))
	require.Equal(t, http.StatusServiceUnavailable, o.patch(path+"pitaya", `{"weight":1}`).status)
}

// Four operators count upwards with compare and set: none of them is lost.
func TestAPIEditComparesAndSets(t *testing.T) {
	t.Parallel()
	d := inEtcd(t, startEtcd(t), server("room", "r1"))
	eventually(t, sees(d, "r1"), "joined")
	o := serveAPI(t, d)
	const path, each = "/v1/services/room/instances/r1", 5
	var conflicts atomic.Int64
	var people sync.WaitGroup
	for range 4 {
		people.Go(func() {
			for done := 0; done < each; {
				r := o.get(path)
				weight := int(r.at(t, "instance", "weight").(float64))
				r = o.patch(path, `{"weight":`+strconv.Itoa(weight+1)+`}`, "If-Match", r.header.Get("ETag"))
				if r.status == http.StatusOK {
					done++
					continue
				}
				require.Equal(t, http.StatusPreconditionFailed, r.status)
				conflicts.Add(1)
			}
		})
	}
	people.Wait()
	eventually(t, func() bool { return o.get(path).at(t, "instance", "weight") == float64(4*each) }, "all counted")
	t.Logf("%d conflicts", conflicts.Load())
}

func TestAPIEditWhileEtcdIsAway(t *testing.T) {
	t.Parallel()
	proxy := faultproxy.New(t, startEtcd(t))
	d := inEtcd(t, proxy.Addr(), server("room", "r1"))
	eventually(t, sees(d, "r1"), "joined")
	o := serveAPI(t, d)
	proxy.Pause(faultproxy.All)
	require.Equal(t, http.StatusGatewayTimeout, o.patch("/v1/services/room/instances/r1", `{"weight":1}`).status)
	require.Equal(t, http.StatusOK, o.get("/v1/services/room").status, "the last view stays")
	proxy.Resume()
	eventually(t, func() bool { return o.patch("/v1/services/room/instances/r1", `{"weight":1}`).status == http.StatusOK }, "etcd is back")
}
