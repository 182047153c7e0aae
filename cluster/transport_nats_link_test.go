package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/embedded"
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

// A link that breaks in the middle of a move, and whose next node goes into lame
// duck mode before the move has been given up, is moved away from that one.
func TestLameDuckOfTheNextNode(t *testing.T) {
	t.Parallel()
	nodes, events := startNATS(t, embedded.WithNATSNodes(2)), new(countedEvents)
	transport := natsTransport(t, nodes.NATSURLs()[0], "front", events)
	link := transport.state.Load().link
	transport.changing.Lock() // the move does not get on
	link.nc.Opts.LameDuckModeHandler(link.nc)
	require.Eventually(t, transport.moving.Load, rpcPatience, rpcPoll)
	require.NoError(t, link.nc.ForceReconnect())
	require.Eventually(t, func() bool { return transport.status().epoch == 2 }, rpcPatience, rpcPoll)
	link.nc.Opts.LameDuckModeHandler(link.nc)
	require.Eventually(t, func() bool {
		transport.events.mu.Lock()
		defer transport.events.mu.Unlock()
		return len(transport.events.events) == 0
	}, rpcPatience, rpcPoll)
	transport.changing.Unlock()
	require.Eventually(t, func() bool { return events.of(EventMoved) == 1 }, rpcPatience, rpcPoll)
	require.NotSame(t, link, transport.state.Load().link)
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

// What is subscribed to in the middle of a move that is given up hears everything:
// also what came when the new link was the one to deliver from, to a node that
// nobody else is connected to.
func TestSubscribedDuringAMove(t *testing.T) {
	t.Parallel()
	url := startNATS(t).NATSURL()
	transport, peer := natsTransport(t, url, "front", nil), newRawPeer(t, natsTransport(t, url, "peer", nil))
	from := transport.state.Load().link
	to, err := transport.connect(t.Context(), startNATS(t).NATSURL())
	require.NoError(t, err)
	transport.changing.Lock()
	merges, err := transport.subs.startMerge(from, to)
	require.NoError(t, err)
	subscribed, heard := make(chan struct{}), make(chan message, 10)
	go func() {
		defer close(subscribed)
		_, err := transport.subscribe(subscription{subject: "some.thing", mode: deliverInOrder, deliver: func(m message) { heard <- m }})
		if err != nil {
			t.Error(err)
		}
		peer.send(t, "some.thing", "", nil)
		peer.send(t, peer.inbox, "", nil)
		<-peer.replies // NATS has passed on what it was sent before
		if err := errors.Join(from.flush(t.Context()), from.barrier(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-subscribed: // and the message was delivered, or not
	case <-time.After(100 * time.Millisecond):
	}
	for _, merge := range merges {
		merge.giveUp()
	}
	transport.subs.forget(to)
	to.close(t.Context())
	transport.changing.Unlock()
	<-subscribed
	select {
	case <-heard:
	case <-time.After(rpcPatience):
		require.Fail(t, "nothing was heard")
	}
}

// A link that broke before it could take over counts as a break of the connection.
func TestAMoveToALinkThatBroke(t *testing.T) {
	t.Parallel()
	events := new(countedEvents)
	transport := natsTransport(t, startNATS(t).NATSURL(), "front", events)
	to, err := transport.connect(t.Context(), transport.urls.dial(nil))
	require.NoError(t, err)
	to.close(t.Context())
	transport.adopt(to)
	require.False(t, transport.status().connected)
	require.Equal(t, 1, events.of(EventLost))
}

// lostAndConnected is an RPCMetrics that remembers what the connection was told of, in order.
type lostAndConnected chan RPCEvent

func (c lostAndConnected) CountRPC(e RPCEvent) { c <- e }

// slowWatcher needs long to fail what waits for an answer.
type slowWatcher struct{ done chan struct{} }

func (w slowWatcher) connectionLost(uint64)  { <-w.done }
func (w slowWatcher) outstanding(uint64) int { return 0 }

// What counts breaks and connections, and concludes from the last of them how it
// is now, hears of each in its turn, however long those need who are told of a
// break, and though a message may tell of a connection before nats.go does.
func TestBreaksAndConnectionsAreCountedInTurn(t *testing.T) {
	t.Parallel()
	url, events, slow := startNATS(t).NATSURL(), make(lostAndConnected, 10), slowWatcher{make(chan struct{})}
	transport, peer := natsTransport(t, url, "front", events), newRawPeer(t, natsTransport(t, url, "peer", nil))
	_, err := transport.subscribe(subscription{subject: "some.thing", deliver: func(message) {}})
	require.NoError(t, err)
	transport.watch(slow)
	for epoch := range uint64(2) {
		require.NoError(t, transport.state.Load().link.nc.ForceReconnect())
		require.Eventually(t, func() bool {
			peer.send(t, "some.thing", "", nil)
			return transport.status() == transportStatus{epoch: epoch + 2, connected: true, maxPayload: 1 << 20}
		}, rpcPatience, rpcPoll)
	}
	close(slow.done)
	for _, want := range []RPCEvent{EventConnected, EventLost, EventConnected, EventLost, EventConnected} {
		require.Equal(t, want, <-events)
	}
}
