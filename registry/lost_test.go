package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/internal/faultproxy"
	"github.com/cereus-game/cereus/registry"
)

// What Params.Lost suggests, a user does there and then.
func TestLost_MayDeregister(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t)
	proxy := faultproxy.New(t, endpoint)
	p := params(proxy.Addr())
	p.TTL = time.Second
	var a *registry.Registry
	again := make(chan error, 1)
	p.Lost = func(name, id string, _ error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := a.Deregister(ctx, name, id)
		if err == nil {
			_, err = a.Register(ctx, login("l2"))
		}
		again <- err
	}
	a = start(t, p)
	b := start(t, params(endpoint))
	id := register(t, a, login(""))
	away(t, proxy)
	register(t, b, login(id)) // waits for the end of the lease
	require.NoError(t, proxy.Accept())
	select {
	case err := <-again:
		require.NoError(t, err)
	case <-time.After(2 * patience):
		require.Fail(t, "it hangs")
	}
	eventually(t, sees(t, b, "login", "login/"+id, "login/l2"), "under another id")
}

func TestNothingPrintsThePassword(t *testing.T) {
	t.Parallel()
	p := params("127.0.0.1:1")
	p.Username, p.Password = "u", "hunter2"
	r, err := registry.New(p)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, p), "hunter2", verb)
		require.NotContains(t, fmt.Sprintf(verb, &p), "hunter2", verb)
		require.NotContains(t, fmt.Sprintf(verb, r), "hunter2", verb)
	}
}
