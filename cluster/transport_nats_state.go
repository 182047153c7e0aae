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
	socket uint64        // of the link, that the epoch belongs to
	broke  chan struct{} // closed when the socket broke
}

// up reports whether the socket of s still stands.
func (s *natsState) up() bool { return s.link.broken.Load() < s.socket }

// use makes link the one to send on, in a new epoch.
func (t *NATSTransport) use(link *natsLink) {
	t.logFailure(t.subs.use(link))
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
	if !link.nc.IsConnected() {
		return
	}
	if t.beginEpoch(link, after, int(link.nc.MaxPayload())) {
		t.metrics.CountRPC(EventConnected)
		if t.params.Connected != nil {
			t.params.Connected()
		}
	}
}

func (t *NATSTransport) beginEpoch(link, after *natsLink, maxPayload int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	socket := link.dialed.Load()
	old := t.state.Load()
	if after != nil && old.link != after {
		return false
	}
	if link.broken.Load() >= socket || old.link == link && old.socket == socket && old.connected {
		return false
	}
	t.epochs++
	t.state.Store(&natsState{
		transportStatus: transportStatus{epoch: t.epochs, connected: true, maxPayload: maxPayload},
		link:            link,
		socket:          socket,
		broke:           make(chan struct{}),
	})
	return true
}

// socketBroke is called by nats.go's goroutines, also under its lock.
func (t *NATSTransport) socketBroke(link *natsLink, socket uint64) {
	raise(&link.broken, socket)
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.state.Load()
	if old.link != link || old.socket > socket || !old.connected {
		return
	}
	down := *old
	down.connected = false
	t.state.Store(&down)
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
		t.metrics.CountRPC(EventLost)
		t.log.WithField("epoch", e.epoch).Warn("nats connection lost")
		t.lost(e.epoch)
	case e.link != current: // of one that was moved away from, or given up
	case e.kind == linkUp:
		t.connected(e.link, e.link)
		t.log.WithField("epoch", t.status().epoch).Info("nats connected")
	case e.kind == linkLeaving:
		e.link.leaving.Store(true)
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
	t.metrics.CountRPC(EventRebuilt)
	t.subs.forget(closed)
	t.use(link)
}

// raise sets v to at least n.
func raise(v *atomic.Uint64, n uint64) {
	for old := v.Load(); old < n && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}

func randomUpTo(d time.Duration) time.Duration { return rand.N(d) }
