package cluster

import (
	"fmt"
	"sync/atomic"
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

// One subscription that cannot be made does not keep the others from a new link.
func TestEverySubscriptionThatCanBeMade(t *testing.T) {
	t.Parallel()
	transport := natsTransport(t, startNATS(t).NATSURL(), "front", nil)
	heard := make(chan string, 10)
	for _, subject := range []string{"one", "two", "three"} {
		_, err := transport.subscribe(subscription{subject: subject, deliver: func(m message) { heard <- m.subject }})
		require.NoError(t, err)
	}
	bad := &natsSubscription{subscription: subscription{mode: deliverAny}, on: make(map[*natsLink]*nats.Subscription)}
	transport.subs.mu.Lock()
	transport.subs.all[bad] = struct{}{}
	transport.subs.mu.Unlock()
	link, err := transport.connect(t.Context(), transport.urls.dial(nil))
	require.NoError(t, err)
	require.ErrorIs(t, transport.subs.use(link), nats.ErrBadSubject)
	require.NoError(t, link.flush(t.Context()))
	transport.subs.mu.Lock()
	delete(transport.subs.all, bad)
	for sub := range transport.subs.all {
		require.Contains(t, sub.on, link, sub.subject)
	}
	transport.subs.mu.Unlock()
}

// A link that is closed for good while a move has put another in its place is
// not made anew.
func TestClosedAfterAMove(t *testing.T) {
	t.Parallel()
	transport := natsTransport(t, startNATS(t).NATSURL(), "front", nil)
	old := transport.state.Load().link
	moved, err := transport.connect(t.Context(), transport.urls.dial(nil))
	require.NoError(t, err)
	transport.use(t.Context(), moved)
	transport.rebuild(t.Context(), old)
	require.Same(t, moved, transport.state.Load().link)
	transport.subs.mu.Lock()
	require.Equal(t, []*natsLink{old, moved}, transport.subs.links)
	transport.subs.mu.Unlock()
	// The other way round, the move gives up.
	from := &natsState{link: old}
	late, err := transport.connect(t.Context(), transport.urls.dial(nil))
	require.NoError(t, err)
	_, err = transport.replace(t.Context(), from, late)
	require.ErrorIs(t, err, errOldLinkBad)
	require.True(t, late.nc.IsClosed())
}

// ups is the RPCMetrics of a connection that says whether it is up.
type ups struct{ up atomic.Bool }

func (u *ups) CountRPC(e RPCEvent) {
	switch e {
	case EventConnected:
		u.up.Store(true)
	case EventLost:
		u.up.Store(false)
	default:
	}
}

// busyWatcher takes its time when a connection is lost.
type busyWatcher struct{ told, free chan struct{} }

func (w busyWatcher) connectionLost(uint64) {
	w.told <- struct{}{}
	<-w.free
}

func (w busyWatcher) outstanding(uint64) int { return 0 }

// Who hears late that a connection broke hears nothing old of the one that took
// its place.
func TestWhatIsCountedLastIsSo(t *testing.T) {
	t.Parallel()
	var counted ups
	transport := natsTransport(t, startNATS(t).NATSURL(), "front", &counted)
	w := busyWatcher{told: make(chan struct{}, 10), free: make(chan struct{})}
	defer transport.watch(w)()
	for range 2 { // the first keeps those busy who would tell of the second
		transport.state.Load().socket.fail()
		link, err := transport.connect(t.Context(), transport.urls.dial(nil))
		require.NoError(t, err)
		transport.use(t.Context(), link)
	}
	<-w.told
	require.True(t, transport.status().connected)
	close(w.free)
	<-w.told
	require.True(t, counted.up.Load())
}
