package cluster

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
)

// A server that came back as a version that takes no bundles, before its caller
// has heard of that, answers one as what it is to it: a request that cannot be
// decoded. That is the answer to each of its calls.
func TestBundleToOneThatTakesNone(t *testing.T) {
	t.Parallel()
	w := newBundleWorld(t)
	old := w.connect(t)
	_, err := old.Subscribe("pitaya/servers/room/back-1", func(m *nats.Msg) {
		_ = m.Respond(marshal(t, errorResponse(errMalformed)))
	})
	require.NoError(t, err)
	require.NoError(t, old.Flush())
	alone := make(chan error, 1)
	w.client.Go(backendServer("back-1"), userRequest("a.b", nil), 0, func(_ *clusterpb.Response, err error) { alone <- err })
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(<-alone))

	began := time.Now()
	_, failures := w.calls(backendServer("back-1"), 10, number)
	for _, err := range failures {
		require.True(t, IsMaybe(err), "%v", err)
	}
	require.Less(t, time.Since(began), rpcPatience/2)
	require.Zero(t, w.client.pending.count.Load())
}
