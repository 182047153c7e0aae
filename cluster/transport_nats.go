package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

var (
	_ Transport        = (*NATSTransport)(nil)
	_ lifecycle.Module = (*NATSTransport)(nil)
)

// Defaults of NATSParams.
const (
	DefaultNATSDialTimeout = 2 * time.Second
	DefaultNATSBootTimeout = 30 * time.Second
)

// NATSParams is what NewNATSTransport needs.
type NATSParams struct {
	URL         string             // one or more, separated by commas; never logged with its credentials
	Name        string             // shown by the NATS server's monitoring
	DialTimeout time.Duration      // of one attempt to connect; 0 means DefaultNATSDialTimeout
	BootTimeout time.Duration      // how long Init goes on trying; 0 means DefaultNATSBootTimeout
	Options     []nats.Option      // TLS, credentials and so on; they win over what this package sets
	Log         logrus.FieldLogger // nil: nothing is logged
	Metrics     RPCMetrics         // nil: nothing is counted
	Die         func(error)        // called once when a closed connection cannot be made anew; nil: only logged
	Connected   func()             // called when messages can be sent (again); must not block; may be nil
}

// NATSTransport is one server's connection to NATS. It reconnects for ever,
// moves away from a NATS node in lame duck mode without losing anything, and
// never keeps a message for later: what cannot be sent now fails now.
//
// Nobody but one goroutine, the writer, ever waits for a socket or calls Publish
// of nats.go, which writes under its connection lock: a stalled server would
// freeze every caller. A caller that is alone may try a write that cannot wait.
type NATSTransport struct {
	params  NATSParams
	urls    natsURLs
	log     logrus.FieldLogger
	metrics RPCMetrics

	state  atomic.Pointer[natsState]
	epochs uint64     // the last epoch given out; guarded by mu
	mu     sync.Mutex // guards changes of state, for a few instructions, also under nats.go's lock

	queue  natsQueue
	bundle buffer // is being made; belongs to the writer
	mixed  bool   // nats.go may have something to write first; belongs to whose turn it is
	start  time.Time
	sent   atomic.Int64 // nanoseconds after start: when something was sent
	events natsEvents
	subs   natsSubscriptions

	watching sync.Mutex // guards watchers
	watchers []*natsWatcher

	moving        atomic.Bool // a move is under way
	changing      sync.Mutex  // held while one link takes the place of another, for as long as that takes
	rebuildWithin time.Duration

	work   *lifecycle.Group // everything but the writer
	writer *lifecycle.Group
}

type natsWatcher struct{ connectionWatcher }

// NewNATSTransport returns a transport that does nothing before Init. The error
// is about params.URL.
func NewNATSTransport(params NATSParams) (*NATSTransport, error) {
	urls, err := parseNATSURLs(params.URL)
	if err != nil {
		return nil, err
	}
	if params.DialTimeout <= 0 {
		params.DialTimeout = DefaultNATSDialTimeout
	}
	if params.BootTimeout <= 0 {
		params.BootTimeout = DefaultNATSBootTimeout
	}
	t := &NATSTransport{params: params, urls: urls, log: orDiscard(params.Log), metrics: params.Metrics, rebuildWithin: natsRebuildWithin, start: time.Now()}
	if t.metrics == nil {
		t.metrics = noMetrics{}
	}
	t.state.Store(new(natsState))
	t.queue.wake = make(chan struct{}, 1)
	t.events.wake = make(chan struct{}, 1)
	t.subs.all = make(map[*natsSubscription]struct{})
	t.subs.flow.out = t.subs.deliverShared
	return t, nil
}

// Name implements lifecycle.Module.
func (t *NATSTransport) Name() string { return "nats" }

// Init connects, trying again until the boot timeout or ctx ends. The error
// names the URL, without credentials, and why the last attempt failed.
func (t *NATSTransport) Init(ctx context.Context) error {
	running := context.WithoutCancel(ctx)
	t.work, t.writer = lifecycle.NewGroup(running), lifecycle.NewGroup(running)
	ctx, cancel := context.WithTimeoutCause(ctx, t.params.BootTimeout, errNATSBoot)
	defer cancel()
	link, err := t.connectRetrying(ctx)
	if err != nil {
		t.stopGroups(context.WithoutCancel(ctx))
		return err
	}
	t.use(ctx, link)
	t.work.Go("nats events", t.handleEvents)
	t.writer.Go("nats writer", t.write)
	return nil
}

// AfterInit implements lifecycle.Module.
func (t *NATSTransport) AfterInit(context.Context) error { return nil }

// BeforeShutdown implements lifecycle.Module.
func (t *NATSTransport) BeforeShutdown(context.Context) {}

// Shutdown sends what was accepted and closes the connection for good.
func (t *NATSTransport) Shutdown(ctx context.Context) error {
	t.queue.finish()
	err := t.writer.Stop(ctx)
	if link := t.state.Load().link; link != nil {
		_ = link.flush(ctx) // bounded; fails when NATS is away, and then there is nothing to flush
	}
	if stopped := t.work.Stop(ctx); stopped != nil {
		err = stopped
	}
	t.subs.closeLinks(ctx)
	return err
}

func (t *NATSTransport) stopGroups(ctx context.Context) {
	_ = t.work.Stop(ctx)   // nothing runs in it yet
	_ = t.writer.Stop(ctx) // nor here
}

func (t *NATSTransport) status() transportStatus { return t.state.Load().transportStatus }

func (t *NATSTransport) watch(w connectionWatcher) (stop func()) {
	entry := &natsWatcher{w}
	t.watching.Lock()
	defer t.watching.Unlock()
	t.watchers = append(t.watchers, entry)
	return func() {
		t.watching.Lock()
		defer t.watching.Unlock()
		kept := make([]*natsWatcher, 0, len(t.watchers))
		for _, other := range t.watchers {
			if other != entry {
				kept = append(kept, other)
			}
		}
		t.watchers = kept
	}
}

// eachWatcher calls fn for every watcher, with no lock held.
func (t *NATSTransport) eachWatcher(fn func(connectionWatcher)) {
	t.watching.Lock()
	watchers := t.watchers[:len(t.watchers):len(t.watchers)]
	t.watching.Unlock()
	for _, w := range watchers {
		fn(w)
	}
}

func (t *NATSTransport) outstanding(epoch uint64) int {
	n := 0
	t.eachWatcher(func(w connectionWatcher) { n += w.outstanding(epoch) })
	return n
}

func (t *NATSTransport) lost(epoch uint64) {
	t.eachWatcher(func(w connectionWatcher) { w.connectionLost(epoch) })
}

// leave has the writer write what socket did not take at once.
func (t *NATSTransport) leave(socket *natsSocket) {
	if !t.queue.drain(socket) {
		socket.drain() // the writer has finished, and is nobody's rival any more
	}
}

// flush goes through the writer, so that it comes after everything queued before.
func (t *NATSTransport) flush(ctx context.Context) error {
	if !t.status().connected {
		return errNotConnected
	}
	reached := make(chan struct{})
	if !t.queue.do(func() { close(reached) }) {
		return errStopped
	}
	select {
	case <-reached:
		return t.urls.redact(t.state.Load().link.flush(ctx))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
