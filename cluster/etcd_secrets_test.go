package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingPrintsThePassword(t *testing.T) {
	t.Parallel()
	p := etcdParams(backend("a"), "127.0.0.1:1")
	p.Username, p.Password = "u", "hunter2"
	d, err := NewEtcdDiscovery(p)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{p, &p, d, d.params, p.connection()} {
			require.NotContains(t, fmt.Sprintf(verb, value), "hunter2", "%s of %T", verb, value)
		}
	}
	text, err := json.Marshal(p.connection())
	require.NoError(t, err)
	require.NotContains(t, string(text), "hunter2")
}

func TestEndpointsCarryNoCredentials(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"http://u:hunter2@a:1", "u:hunter2@a:1"} {
		_, err := NewEtcdDiscovery(EtcdParams{Endpoints: []string{endpoint}})
		require.ErrorContains(t, err, "Username and Password")
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := NewEtcdDiscovery(EtcdParams{Endpoints: []string{" "}})
	require.ErrorContains(t, err, "none may be empty")
}

func TestHealthChecksShowNoCredentials(t *testing.T) {
	t.Parallel()
	c := CheckHTTP("http://u:hunter2@127.0.0.1:1/health?token=hunter2")
	require.Contains(t, c.Name, "127.0.0.1:1/health")
	require.NotContains(t, c.Name, "hunter2")
	require.NotContains(t, c.run(context.Background()).Error(), "hunter2")
	require.NotContains(t, CheckHTTP("http://u:hunter2@%zz").Name, "hunter2")
	require.NotContains(t, CheckHTTP("http://u:hunter2@%zz").run(context.Background()).Error(), "hunter2")
}
