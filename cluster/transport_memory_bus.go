package cluster

import (
	"strings"
	"sync"
	"time"
)

// MemoryBus connects MemoryTransports inside one process, as a NATS server does
// between processes. Use NewMemoryBus.
type MemoryBus struct {
	mu     sync.Mutex // guards what follows, and the status of every transport
	subs   map[string][]*memorySubscription
	faults func(MemoryMessage) MemoryFault
}

// MemoryMessage is one message to one receiver, as a fault hook sees it.
type MemoryMessage struct {
	From, To string // names of transports
	Subject  string
	Reply    string
	Data     []byte // not to be changed or kept
}

// MemoryFault is what happens to one message. The zero value delivers it.
type MemoryFault struct {
	Drop   bool          // it never arrives, and nobody is told
	Delay  time.Duration // it arrives so much later, also after messages sent after it
	Copies int           // it arrives so many times more
}

// NewMemoryBus returns a bus without transports.
func NewMemoryBus() *MemoryBus {
	return &MemoryBus{subs: make(map[string][]*memorySubscription)}
}

// Transport returns a new transport on the bus; name is what MemoryMessage
// calls it. It is connected by its Init.
func (b *MemoryBus) Transport(name string) *MemoryTransport {
	t := &MemoryTransport{bus: b, name: name}
	t.queue.wake = make(chan struct{}, 1)
	t.now.Store(&transportStatus{maxPayload: memoryMaxPayload})
	return t
}

// SetFaults has hook decide about every message from now on; nil ends that.
// It is called on the sender's goroutine, with no lock held, once for every
// receiver, in the sender's order.
func (b *MemoryBus) SetFaults(hook func(MemoryMessage) MemoryFault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = hook
}

func (b *MemoryBus) add(sub *memorySubscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs[sub.subject] = append(b.subs[sub.subject], sub)
}

func (b *MemoryBus) remove(sub *memorySubscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := make([]*memorySubscription, 0, len(b.subs[sub.subject]))
	for _, other := range b.subs[sub.subject] {
		if other != sub {
			kept = append(kept, other)
		}
	}
	if len(kept) == 0 {
		delete(b.subs, sub.subject)
		return
	}
	b.subs[sub.subject] = kept
}

// route sends m from t. Only an error that forbids sending is returned.
func (b *MemoryBus) route(t *MemoryTransport, m *outgoing) error {
	b.mu.Lock()
	status := t.now.Load()
	if !status.connected {
		b.mu.Unlock()
		return errNotConnected
	}
	if m.epoch != 0 && m.epoch != status.epoch {
		b.mu.Unlock()
		return errEpochOver
	}
	if m.call != nil && !m.call.sending(m.token, status.epoch, m.token) {
		b.mu.Unlock()
		return nil
	}
	whole := outgoing{subject: m.subject, reply: m.replySubject(), body: m.body}
	m = &whole
	targets, hook := b.targets(m.subject), b.faults
	if len(targets) == 0 {
		b.bounce(t, m.reply)
	}
	if hook == nil {
		for _, sub := range targets {
			b.deliver(sub, m, 0)
		}
		b.mu.Unlock()
		return nil
	}
	b.mu.Unlock()
	for _, sub := range targets {
		b.mistreat(t, sub, m, hook)
	}
	return nil
}

// mistreat delivers m as hook says.
func (b *MemoryBus) mistreat(t *MemoryTransport, sub *memorySubscription, m *outgoing, hook func(MemoryMessage) MemoryFault) {
	fault := hook(MemoryMessage{From: t.name, To: sub.owner.name, Subject: m.subject, Reply: m.reply, Data: m.body.b})
	if fault.Drop {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for range fault.Copies + 1 {
		b.deliver(sub, m, fault.Delay)
	}
}

// targets are the connected subscriptions of subject, also by a last token "*".
func (b *MemoryBus) targets(subject string) []*memorySubscription {
	targets := connectedOf(nil, b.subs[subject])
	if dot := strings.LastIndexByte(subject, '.'); dot >= 0 {
		targets = connectedOf(targets, b.subs[subject[:dot+1]+"*"])
	}
	return targets
}

func connectedOf(targets, subs []*memorySubscription) []*memorySubscription {
	for _, sub := range subs {
		if sub.owner.now.Load().connected {
			targets = append(targets, sub)
		}
	}
	return targets
}

// bounce tells t that nobody listens to what it asked.
func (b *MemoryBus) bounce(t *MemoryTransport, reply string) {
	if reply == "" {
		return
	}
	for _, sub := range b.targets(reply) {
		if sub.owner == t {
			t.queue.push(memoryItem{due: time.Now(), sub: sub, message: message{subject: reply, undelivered: true}})
		}
	}
}

// deliver queues a copy of m. A receiver that is disconnected gets nothing.
func (b *MemoryBus) deliver(sub *memorySubscription, m *outgoing, delay time.Duration) {
	if !sub.owner.now.Load().connected {
		return
	}
	sub.owner.queue.push(memoryItem{
		due: time.Now().Add(delay),
		sub: sub,
		message: message{
			subject: m.subject,
			reply:   m.reply,
			data:    append([]byte(nil), m.body.b...),
		},
	})
}
