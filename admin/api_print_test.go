package admin_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/admin"
	"github.com/cereus-game/cereus/cluster"
)

func TestNothingPrintsTheToken(t *testing.T) {
	t.Parallel()
	p := admin.Params{Address: "127.0.0.1:0", Token: token}
	s := admin.New(p)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{p, &p, s} {
			require.NotContains(t, fmt.Sprintf(verb, value), token, "%s of %T", verb, value)
		}
	}
}

// Errors are for people: what they quote is not escaped.
func TestAPIErrorsCanBeRead(t *testing.T) {
	t.Parallel()
	o := serveAPI(t, inMemory(t, cluster.NewMemoryRegistry(), nil))
	res := o.send(testContext(t), http.MethodGet, "/v1/services", "", "Authorization", "")
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, `{"error":"send the header Authorization: Bearer <admin.token>"}`+"\n", string(text))
}

// What a server tells of its load has names like everything else here.
func TestAPILoadNames(t *testing.T) {
	t.Parallel()
	d := inMemory(t, cluster.NewMemoryRegistry(), server("room", "r1"))
	o := serve(t, admin.Params{Token: token, Discovery: d, Load: func(string) (any, bool) {
		return cluster.Load{CPU: 0.5, Memory: 1 << 20, Goroutines: 9, Sessions: 2, InFlight: 1, Values: map[string]float64{"matches": 3}}, true
	}})
	require.Equal(t, map[string]any{
		"cpu": 0.5, "memory": float64(1 << 20), "goroutines": 9.0, "sessions": 2.0, "in_flight": 1.0,
		"values": map[string]any{"matches": 3.0},
	}, o.get("/v1/services/room/instances/r1").at(t, "instance", "load"))
}
