package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

var (
	_ Transport        = (*MemoryTransport)(nil)
	_ lifecycle.Module = (*MemoryTransport)(nil)
)

// memoryMaxPayload is the default of a NATS server.
const memoryMaxPayload = 1 << 20

// MemoryTransport is one server's connection to a MemoryBus, for tests. Like a
// NATS connection it keeps the order of each sender, tells when nobody listens,
// and loses what is under way when it breaks; the methods Disconnect, Reconnect
// and Move make it do so. Use MemoryBus.Transport.
type MemoryTransport struct {
	bus   *MemoryBus
	name  string
	queue memoryQueue
	now   atomic.Pointer[transportStatus]

	mu       sync.Mutex // guards watchers
	watchers []*memoryWatcher

	work *lifecycle.Group
}

type memoryWatcher struct{ connectionWatcher }

// Name implements lifecycle.Module.
func (t *MemoryTransport) Name() string { return "memory transport" }

// Init connects.
func (t *MemoryTransport) Init(ctx context.Context) error {
	t.work = lifecycle.NewGroup(context.WithoutCancel(ctx))
	t.work.Go("memory delivery", t.queue.run)
	t.Reconnect()
	return nil
}

// AfterInit implements lifecycle.Module.
func (t *MemoryTransport) AfterInit(context.Context) error { return nil }

// BeforeShutdown implements lifecycle.Module.
func (t *MemoryTransport) BeforeShutdown(context.Context) {}

// Shutdown disconnects for good.
func (t *MemoryTransport) Shutdown(ctx context.Context) error {
	t.Disconnect()
	return t.work.Stop(ctx)
}

// Disconnect breaks the connection: what has not been delivered to this
// transport is lost, its pending calls fail, and nobody reaches it.
func (t *MemoryTransport) Disconnect() {
	t.bus.mu.Lock()
	old := *t.now.Load()
	if !old.connected {
		t.bus.mu.Unlock()
		return
	}
	t.now.Store(&transportStatus{epoch: old.epoch, maxPayload: old.maxPayload})
	t.queue.drop()
	t.bus.mu.Unlock()
	for _, w := range t.watching() {
		w.connectionLost(old.epoch)
	}
}

// Reconnect connects again, in a new epoch, with every subscription.
func (t *MemoryTransport) Reconnect() {
	t.bus.mu.Lock()
	defer t.bus.mu.Unlock()
	if old := t.now.Load(); !old.connected {
		t.now.Store(&transportStatus{epoch: old.epoch + 1, connected: true, maxPayload: old.maxPayload})
	}
}

// Move starts a new epoch and loses nothing, as a lame-duck move does.
func (t *MemoryTransport) Move() {
	t.bus.mu.Lock()
	defer t.bus.mu.Unlock()
	if old := t.now.Load(); old.connected {
		t.now.Store(&transportStatus{epoch: old.epoch + 1, connected: true, maxPayload: old.maxPayload})
	}
}

func (t *MemoryTransport) status() transportStatus { return *t.now.Load() }

func (t *MemoryTransport) watch(w connectionWatcher) (stop func()) {
	entry := &memoryWatcher{w}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers = append(t.watchers, entry)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for i, other := range t.watchers {
			if other == entry {
				t.watchers = append(t.watchers[:i:i], t.watchers[i+1:]...)
				return
			}
		}
	}
}

func (t *MemoryTransport) watching() []*memoryWatcher {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.watchers[:len(t.watchers):len(t.watchers)]
}

func (t *MemoryTransport) subscribe(s subscription) (cancelFunc, error) {
	sub := &memorySubscription{subscription: s, owner: t}
	t.bus.add(sub)
	return func(ctx context.Context) error {
		t.bus.remove(sub)
		if s.mode == deliverShared {
			sub.ended.Store(true)
			return nil
		}
		return t.queue.barrier(ctx, t.work.Context(), sub)
	}, nil
}

// flush has nothing to wait for: the bus knows at once.
func (t *MemoryTransport) flush(context.Context) error { return nil }

func (t *MemoryTransport) publish(m outgoing) error {
	if err := t.bus.route(t, &m); err != nil {
		return m.refuse(err)
	}
	m.release()
	return nil
}

// memorySubscription is a subscription on the bus.
type memorySubscription struct {
	subscription
	owner *MemoryTransport
	ended atomic.Bool
}

// memoryItem is a message, or a barrier, on its way to a transport.
type memoryItem struct {
	due     time.Time
	seq     uint64
	sub     *memorySubscription
	message message
	reached chan struct{} // of a barrier
}
