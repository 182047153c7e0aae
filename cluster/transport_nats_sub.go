package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/nats-io/nats.go"
)

// natsSubscriptions is what the transport is subscribed to.
type natsSubscriptions struct {
	// mu makes changes one at a time; nats.go may wait for a stalled server under
	// it, so no hot path takes it. It guards links, all, and on of each.
	mu    sync.Mutex
	links []*natsLink // that every subscription is made on: one, or two during a move
	all   map[*natsSubscription]struct{}

	flow   natsFlow // of all deliverShared ones together
	shared sync.Map // subject -> *natsSubscription, the deliverShared ones
}

type natsSubscription struct {
	subscription
	flow *natsFlow // nil with deliverAny
	on   map[*natsLink]*nats.Subscription
}

func (t *NATSTransport) subscribe(s subscription) (cancelFunc, error) {
	sub := &natsSubscription{subscription: s, on: make(map[*natsLink]*nats.Subscription)}
	switch s.mode {
	case deliverShared:
		return t.subscribeShared(sub)
	case deliverInOrder:
		sub.flow = &natsFlow{out: func(m *nats.Msg) { s.deliver(fromNATS(m)) }}
	}
	t.changing.Lock() // in the middle of a move it would hear the new link alone
	err := t.attach(sub)
	t.changing.Unlock()
	if err != nil {
		t.subs.detach(sub) // else a later connection would make it after all
		return nil, err
	}
	if state := t.state.Load(); state.connected {
		// Only so that the NATS server knows when this returns. Should it fail, the
		// connection is breaking, and the reconnect subscribes.
		_ = state.link.flush(context.Background())
	}
	return func(ctx context.Context) error { return t.drain(ctx, sub) }, nil
}

// subscribeShared waits for nothing: the writer subscribes, in order with what
// is published.
func (t *NATSTransport) subscribeShared(sub *natsSubscription) (cancelFunc, error) {
	sub.flow = &t.subs.flow
	t.subs.shared.Store(sub.subject, sub)
	if !t.queue.do(func() { t.logFailure(t.attach(sub)) }) {
		t.subs.shared.CompareAndDelete(sub.subject, sub)
		return nil, errStopped
	}
	return func(context.Context) error {
		t.subs.shared.CompareAndDelete(sub.subject, sub)
		t.queue.do(func() { t.subs.detach(sub) })
		return nil
	}, nil
}

func (t *NATSTransport) logFailure(err error) {
	if err != nil {
		t.log.WithError(err).Error("cannot subscribe on nats")
	}
}

func fromNATS(m *nats.Msg) message {
	return message{
		subject:     m.Subject,
		reply:       m.Reply,
		data:        m.Data,
		undelivered: m.Header != nil && len(m.Data) == 0 && m.Header.Get("Status") == "503",
	}
}

// attach makes sub on every link.
func (t *NATSTransport) attach(sub *natsSubscription) error {
	t.subs.mu.Lock()
	defer t.subs.mu.Unlock()
	t.subs.all[sub] = struct{}{}
	for _, link := range t.subs.links {
		if sub.mode == deliverInOrder {
			sub.flow.owner.CompareAndSwap(nil, link) // before the first message comes
		}
		if err := t.subs.attachTo(link, sub); err != nil {
			return t.urls.redact(err)
		}
		if sub.mode == deliverInOrder {
			sub.flow.owner.Store(link) // the last one: the link to stay
		}
	}
	return nil
}

// attachTo makes sub on link, under mu.
func (s *natsSubscriptions) attachTo(link *natsLink, sub *natsSubscription) error {
	var made *nats.Subscription
	var err error
	switch sub.mode {
	case deliverShared:
		made, err = link.nc.ChanSubscribe(sub.subject, link.sharedQueue())
	case deliverAny:
		made, err = link.nc.Subscribe(sub.subject, func(m *nats.Msg) { sub.deliver(fromNATS(m)) })
	default:
		made, err = link.nc.Subscribe(sub.subject, func(m *nats.Msg) {
			link.t.heard(link)
			sub.flow.receive(link, m)
		})
	}
	if err != nil {
		return err
	}
	sub.on[link] = made
	if sub.mode == deliverShared {
		return nil
	}
	return made.SetPendingLimits(-1, -1) // admission is ours: nats.go never drops
}

// detach ends sub on every link at once.
func (s *natsSubscriptions) detach(sub *natsSubscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sub)
	for link, made := range sub.on {
		_ = made.Unsubscribe() // fails only on a closed link, which has no subscriptions
		delete(sub.on, link)
	}
}

// drain ends sub when everything that NATS had sent for it is delivered, or ctx ends.
func (t *NATSTransport) drain(ctx context.Context, sub *natsSubscription) error {
	defer t.subs.detach(sub)
	if sub.flow != nil {
		if err := sub.flow.settled(ctx); err != nil {
			return err
		}
	}
	t.subs.mu.Lock()
	delete(t.subs.all, sub)
	on := make(map[*natsLink]*nats.Subscription, len(sub.on))
	maps.Copy(on, sub.on)
	t.subs.mu.Unlock()
	for link, made := range on {
		if err := link.drain(ctx, made); err != nil {
			return err
		}
	}
	return nil
}

func (l *natsLink) drain(ctx context.Context, made *nats.Subscription) error {
	switch {
	case l.nc.IsClosed():
		return nil
	case !l.nc.IsConnected(): // nothing more comes
		return l.barrier(ctx)
	}
	done := make(chan struct{}, 2)
	made.SetClosedHandler(func(string) { done <- struct{}{} })
	if made.Drain() != nil { // closed: it has no messages left
		done <- struct{}{}
	}
	return receive(ctx, done)
}

// use makes every subscription on link that can be made there, and link the one
// to deliver from.
func (s *natsSubscriptions) use(link *natsLink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = append(s.links, link)
	s.flow.owner.Store(link)
	var faults []error
	for sub := range s.all {
		if sub.flow != nil {
			sub.flow.owner.Store(link) // before the first message comes
		}
		if err := s.attachTo(link, sub); err != nil {
			faults = append(faults, fmt.Errorf("subject %s: %w", sub.subject, err))
		}
	}
	return errors.Join(faults...)
}

// forget lets go of a link that is closed or about to be, and of its messages.
func (s *natsSubscriptions) forget(link *natsLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.links {
		if other == link {
			s.links = append(s.links[:i:i], s.links[i+1:]...)
			break
		}
	}
	for sub := range s.all {
		delete(sub.on, link)
		if sub.flow != nil && len(s.links) > 0 {
			sub.flow.owner.CompareAndSwap(link, s.links[len(s.links)-1])
		}
	}
}

// leave ends what link delivers in order; replies still come on it.
func (s *natsSubscriptions) leave(link *natsLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.all {
		if made := sub.on[link]; made != nil && sub.mode != deliverAny {
			_ = made.Unsubscribe()
			delete(sub.on, link)
		}
	}
}

func (s *natsSubscriptions) closeLinks(ctx context.Context) {
	s.mu.Lock()
	links := s.links
	s.links = nil
	s.mu.Unlock()
	for _, link := range links {
		link.close(ctx)
	}
}

// sharedQueue is the queue of link's deliverShared subscriptions. nats.go has
// a goroutine for each ordinary subscription; a frontend has two per player.
func (l *natsLink) sharedQueue() chan *nats.Msg {
	l.sharedOnce.Do(func() {
		l.shared = make(chan *nats.Msg, sharedQueue)
		l.pumping.Store(true)
		l.t.work.Go("nats shared subscriptions", l.pump)
	})
	return l.shared
}

// pump delivers what comes on the shared queue until ctx ends or the link is
// closed.
func (l *natsLink) pump(ctx context.Context) {
	for {
		select {
		case m := <-l.shared:
			if m.Sub == nil { // from barrier
				select {
				case l.passed <- struct{}{}:
				default:
				}
				continue
			}
			l.t.subs.flow.receive(l, m)
		case <-l.closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// deliverShared hands m to the subscription of its subject.
func (s *natsSubscriptions) deliverShared(m *nats.Msg) {
	if sub, ok := s.shared.Load(m.Subject); ok {
		sub.(*natsSubscription).deliver(fromNATS(m))
	}
}
