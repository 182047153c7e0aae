package cluster

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// natsFlow delivers what is received on subscriptions, in order and once, also
// while the transport moves from one link to another.
//
// A queue group of the two links would be simpler and wrong: what the server
// has routed to the old member when that unsubscribes is lost, and two members
// take turns, so that the order of a sender is mixed. Instead both links get
// a copy of everything, and the flow makes one stream of the two.
type natsFlow struct {
	out   func(*nats.Msg)
	owner atomic.Pointer[natsLink] // whose messages count
	merge atomic.Pointer[natsMerge]
}

func (f *natsFlow) receive(link *natsLink, m *nats.Msg) {
	if merge := f.merge.Load(); merge != nil {
		merge.receive(link, m)
		return
	}
	if f.owner.Load() == link {
		f.out(m)
	}
}

// settled waits until no messages are held back, or ctx ends.
func (f *natsFlow) settled(ctx context.Context) error {
	merge := f.merge.Load()
	if merge == nil {
		return nil
	}
	select {
	case <-merge.over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// natsMerge makes one stream of what two links receive for a flow:
//
//  1. holding: the old link's messages are delivered and remembered, the new
//     one's are held. It begins before the new link subscribes, so whatever only
//     the old one gets is delivered.
//  2. Once the new link's interest has spread (propagated), everything comes on
//     both.
//  3. cut, when the old link has delivered all that only it could have: from
//     here on its messages are ignored, and what the new one holds is delivered,
//     without what was delivered already.
//  4. live: the new link's messages are delivered as they come; copies that were
//     slower than the cut are still dropped, until the merge is finished.
//
// The order of every sender is kept: the old link delivered a first part of what
// the sender sent, and the new one has everything after it, in order.
type natsMerge struct {
	flow     *natsFlow
	old, new *natsLink
	seed     maphash.Seed
	over     chan struct{} // closed at the cut, or when the merge was given up

	mu         sync.Mutex // guards what follows
	phase      mergePhase
	propagated time.Time // zero until then
	seen       map[messageKey]copies
	held       []heldMessage
	delivering bool          // the old link's callback is in flow.out
	delivered  chan struct{} // closed when it comes back; nil when nobody waits
}

type mergePhase int

const (
	mergeHolding mergePhase = iota
	mergeReplaying
	mergeLive
	mergeGivenUp
)

type heldMessage struct {
	*nats.Msg
	at time.Time
}

// messageKey tells copies of a message: by its reply subject, which is unique,
// else by its content.
type messageKey struct {
	reply string
	sum   uint64
}

// copies counts what the old link delivered, before and after propagation.
type copies struct{ early, late int }

// mergeSettle is how much later than the first copy of a message the second one
// is expected at most, and how long interest takes to reach the farthest NATS
// node after it has reached the old one.
const mergeSettle = 150 * time.Millisecond

func newNATSMerge(flow *natsFlow, from, to *natsLink) *natsMerge {
	return &natsMerge{
		flow: flow, old: from, new: to, seed: maphash.MakeSeed(),
		over: make(chan struct{}), seen: make(map[messageKey]copies),
	}
}

func (g *natsMerge) receive(link *natsLink, m *nats.Msg) {
	switch link {
	case g.old:
		if g.enter(m) {
			g.flow.out(m)
			g.leave()
		}
	case g.new:
		if g.admit(m) {
			g.flow.out(m)
		}
	}
}

// enter remembers a message of the old link; false means to ignore it.
func (g *natsMerge) enter(m *nats.Msg) bool {
	key := g.key(m)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase == mergeGivenUp {
		return true
	}
	if g.phase != mergeHolding {
		return false
	}
	n := g.seen[key]
	if g.propagated.IsZero() {
		n.early++
	} else {
		n.late++
	}
	g.seen[key] = n
	g.delivering = true
	return true
}

func (g *natsMerge) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.delivering = false
	if g.delivered != nil {
		close(g.delivered)
		g.delivered = nil
	}
}

// admit reports whether a message of the new link is to be delivered now.
func (g *natsMerge) admit(m *nats.Msg) bool {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.phase {
	case mergeLive:
		return !g.duplicate(m, now)
	case mergeGivenUp:
		return false
	}
	g.held = append(g.held, heldMessage{m, now})
	return false
}

// duplicate reports whether the old link delivered this message, and uses the
// copy up, under mu. Without a reply subject equal messages cannot be told
// apart; which copies can be this one's follows from when it came.
func (g *natsMerge) duplicate(m *nats.Msg, at time.Time) bool {
	key := g.key(m)
	n, ok := g.seen[key]
	if !ok {
		return false
	}
	settled := !g.propagated.IsZero() && at.After(g.propagated.Add(mergeSettle))
	switch early := g.propagated.IsZero() || !at.After(g.propagated); {
	case early && n.early > 0:
		n.early--
	case n.late > 0:
		n.late--
	case n.early > 0 && (m.Reply != "" || !settled):
		n.early--
	default:
		return false
	}
	if n == (copies{}) {
		delete(g.seen, key)
	} else {
		g.seen[key] = n
	}
	return true
}

func (g *natsMerge) key(m *nats.Msg) messageKey {
	if m.Reply != "" {
		return messageKey{reply: m.Reply}
	}
	var h maphash.Hash
	h.SetSeed(g.seed)
	_, _ = h.WriteString(m.Subject) // never fails
	_ = h.WriteByte(0)
	_, _ = h.Write(m.Data)
	return messageKey{sum: h.Sum64()}
}

// spread: from now on everything comes on both links.
func (g *natsMerge) spread() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.propagated = time.Now()
}

// cut makes the new link the one that is delivered from.
func (g *natsMerge) cut() {
	g.mu.Lock()
	g.phase = mergeReplaying
	for g.delivering {
		g.delivered = make(chan struct{})
		back := g.delivered
		g.mu.Unlock()
		<-back // the subscriber does not block
		g.mu.Lock()
	}
	for len(g.held) > 0 {
		batch := g.heldOnce()
		g.mu.Unlock()
		for _, m := range batch {
			g.flow.out(m)
		}
		g.mu.Lock()
	}
	g.phase = mergeLive
	g.flow.owner.Store(g.new)
	g.mu.Unlock()
	close(g.over)
}

// heldOnce takes what is held and was not delivered, under mu.
func (g *natsMerge) heldOnce() []*nats.Msg {
	var batch []*nats.Msg
	for _, m := range g.held {
		if !g.duplicate(m.Msg, m.at) {
			batch = append(batch, m.Msg)
		}
	}
	g.held = nil
	return batch
}

// giveUp goes on with the old link alone, which has everything.
func (g *natsMerge) giveUp() {
	g.mu.Lock()
	g.phase, g.held = mergeGivenUp, nil
	g.mu.Unlock()
	g.flow.owner.Store(g.old)
	g.flow.merge.Store(nil)
	close(g.over)
}

// finish ends a merge that was cut.
func (g *natsMerge) finish() { g.flow.merge.Store(nil) }
