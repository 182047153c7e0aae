package cluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// natsState is the connection that messages are sent on. It is immutable; a
// change stores another one.
type natsState struct {
	transportStatus
	link   *natsLink
	socket *natsSocket   // of the link, that the epoch belongs to
	direct bool          // messages go to the socket without nats.go
	broke  chan struct{} // closed when the socket broke
}

// up reports whether the socket of s still stands.
func (s *natsState) up() bool { return !s.socket.isBroken() }

// use makes link the one to send on, in a new epoch, after it has subscribed.
func (t *NATSTransport) use(ctx context.Context, link *natsLink) {
	t.logFailure(t.subs.use(link))
	_ = link.flush(ctx) // bounded; when it fails, the reconnect subscribes first
	t.adopt(link)
}

// adopt has messages sent on link from now on. A link that stands takes over
// from another one without a moment in which nothing can be sent.
func (t *NATSTransport) adopt(link *natsLink) {
	t.connected(link, nil)
	t.mu.Lock()
	if old := t.state.Load(); old.link != link {
		down := transportStatus{epoch: old.epoch, maxPayload: old.maxPayload}
		t.state.Store(&natsState{transportStatus: down, link: link})
		if old.connected { // it broke before it could take over
			t.metrics.CountRPC(EventLost)
		}
	}
	t.mu.Unlock()
	t.connected(link, link) // should it have come back before it was the link to hear of
}

// heard: a message came on link. After a reconnect the first may come before
// nats.go tells of the reconnect, and its reply must find us connected.
func (t *NATSTransport) heard(link *natsLink) {
	if state := t.state.Load(); !state.connected && state.link == link {
		t.connected(link, link)
	}
}

// connected begins an epoch on link, unless its socket broke already, or the
// transport has another link by now than after, which nil allows.
func (t *NATSTransport) connected(link, after *natsLink) {
	// In this order: connected, nats.go is so through this socket or a later one.
	socket := link.socket.Load()
	if !link.nc.IsConnected() {
		return
	}
	next := &natsState{
		transportStatus: transportStatus{connected: true, maxPayload: int(link.nc.MaxPayload())},
		link:            link,
		socket:          socket,
		direct:          socket.gather(),
		broke:           make(chan struct{}),
	}
	if t.beginEpoch(next, after) && t.params.Connected != nil {
		t.params.Connected()
	}
}

func (t *NATSTransport) beginEpoch(next *natsState, after *natsLink) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.state.Load()
	if after != nil && old.link != after {
		return false
	}
	if !next.up() || next.socket != next.link.socket.Load() || old.connected && old.socket == next.socket {
		return false
	}
	t.epochs++
	next.epoch = t.epochs
	t.state.Store(next)
	t.metrics.CountRPC(EventConnected) // under mu, in turn with the breaks
	return true
}

// socketBroke is called by nats.go's goroutines, also under its lock.
func (t *NATSTransport) socketBroke(socket *natsSocket) {
	link := socket.link
	raise(&link.broken, socket.number)
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.state.Load()
	if old.link != link || !old.connected || old.socket.number > socket.number {
		return
	}
	down := *old
	down.connected = false
	t.state.Store(&down)
	if !link.ending.Load() {
		t.metrics.CountRPC(EventLost)
	}
	close(old.broke)
	t.events.push(natsEvent{kind: linkDown, link: link, epoch: old.epoch})
}

// natsEventKind is what happened to a link.
type natsEventKind int

const (
	linkDown    natsEventKind = iota // its socket broke, and an epoch ended
	linkUp                           // it has a new socket
	linkLeaving                      // its NATS node is in lame duck mode
	linkClosed                       // nats.go gave it up for good
)

type natsEvent struct {
	kind  natsEventKind
	link  *natsLink
	epoch uint64
}

// natsEvents is a queue that never blocks the pusher: there are only a few
// events per connection.
type natsEvents struct {
	mu     sync.Mutex // guards events
	events []natsEvent
	wake   chan struct{} // room for one
}

func (q *natsEvents) push(e natsEvent) {
	q.mu.Lock()
	q.events = append(q.events, e)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *natsEvents) take() []natsEvent {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.events
	q.events = nil
	return events
}

// handleEvents runs until ctx ends.
func (t *NATSTransport) handleEvents(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.events.wake:
		}
		for _, e := range t.events.take() {
			t.handle(ctx, e)
		}
	}
}

func (t *NATSTransport) handle(ctx context.Context, e natsEvent) {
	switch current := t.state.Load().link; {
	case e.kind == linkDown:
		t.log.WithField("epoch", e.epoch).Warn("nats connection lost")
		t.lost(e.epoch)
	case e.link != current: // of one that was moved away from, or given up
	case e.kind == linkUp:
		t.connected(e.link, e.link)
		t.log.WithField("epoch", t.status().epoch).Info("nats connected")
	case e.kind == linkLeaving:
		t.work.Go("nats move", t.move)
	case e.kind == linkClosed:
		t.rebuild(ctx, e.link)
	}
}

// rebuild replaces a link that nats.go closed for good, for example after
// a protocol error, or else has the app die: a server that cannot be called and
// does not know it is the worst of all.
func (t *NATSTransport) rebuild(ctx context.Context, closed *natsLink) {
	t.log.WithField("url", t.urls.String()).Error("nats connection was closed for good, making it anew")
	bounded, cancel := context.WithTimeoutCause(ctx, t.rebuildWithin, errNATSRebuild)
	defer cancel()
	link, err := t.connectRetrying(bounded)
	if err != nil {
		if ctx.Err() == nil {
			t.log.WithError(err).Error("nats connection cannot be made anew")
			if t.params.Die != nil {
				t.params.Die(err)
			}
		}
		return
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.state.Load().link != closed { // a move has been faster
		link.close(context.WithoutCancel(ctx))
		return
	}
	t.metrics.CountRPC(EventRebuilt)
	t.subs.forget(closed)
	t.use(ctx, link)
}

// raise sets v to at least n.
func raise(v *atomic.Uint64, n uint64) {
	for old := v.Load(); old < n && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}

func randomUpTo(d time.Duration) time.Duration { return rand.N(d) }
