package cluster

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// What hides the secrets of an error keeps its cause.
func TestRedactKeepsTheCause(t *testing.T) {
	t.Parallel()
	urls, err := parseNATSURLs("nats://alice:s3cret@one:4222,nats://t0ken@two:4222")
	require.NoError(t, err)
	redacted := urls.redact(fmt.Errorf("dial nats://alice:s3cret@one:4222 with s3cret and t0ken: %w", nats.ErrAuthorization))
	require.ErrorIs(t, redacted, nats.ErrAuthorization)
	require.EqualError(t, redacted, "dial nats://one:4222 with xxxxx and xxxxx: nats: authorization violation")
	require.Equal(t, nats.ErrAuthorization, urls.redact(nats.ErrAuthorization), "nothing to hide")
}

// A subscription that failed is not made behind the subscriber's back when the
// connection is made anew.
func TestFailedSubscriptionIsForgotten(t *testing.T) {
	t.Parallel()
	transport := natsTransport(t, startNATS(t).NATSURL(), "front", nil)
	link := transport.state.Load().link
	link.ending.Store(true) // so that nobody makes it anew
	link.nc.Close()
	_, err := transport.subscribe(subscription{subject: "some.thing", deliver: func(message) {}})
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
	transport.subs.mu.Lock()
	defer transport.subs.mu.Unlock()
	require.Empty(t, transport.subs.all)
}

// A link whose node goes into lame duck mode before messages are sent on it, in
// the middle of a move to it, is moved away from next.
func TestLameDuckBeforeTheLinkIsUsed(t *testing.T) {
	t.Parallel()
	transport := natsTransport(t, startNATS(t).NATSURL(), "front", nil)
	link, err := transport.connect(t.Context(), transport.urls.dial(nil))
	require.NoError(t, err)
	defer link.close(t.Context())
	link.nc.Opts.LameDuckModeHandler(link.nc)
	require.True(t, link.leaving.Load())
}
