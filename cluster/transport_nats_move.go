package cluster

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// Bounds of a move away from a NATS node in lame duck mode. The node's own grace
// is 10 s by default.
const (
	moveProbeEvery  = 10 * time.Millisecond
	moveProbeWithin = 2 * time.Second
	moveSwitchProbe = 250 * time.Millisecond
	moveDrainWithin = 3 * time.Second
	moveReplyWithin = 10 * time.Second
	moveReplyPoll   = 20 * time.Millisecond
	moveLinger      = time.Second
)

var (
	errSameNode   = errors.New("that is the same NATS node")
	errNewLinkBad = errors.New("the new NATS connection broke")
	errOldLinkBad = errors.New("the old NATS connection broke")
)

// move goes away from NATS nodes until the one connected to means to stay.
func (t *NATSTransport) move(ctx context.Context) {
	for ctx.Err() == nil {
		link := t.state.Load().link
		if !link.leaving.Load() || !t.moving.CompareAndSwap(false, true) {
			return // whoever is moving looks again when it is done
		}
		link.leaving.Store(false) // first: the link's next node may say so, too, before the move has ended
		t.moveFrom(ctx, link)
		t.moving.Store(false)
	}
}

// moveFrom takes everything from link old to another NATS node. When none can be
// had before old breaks, nats.go reconnects as after any break.
func (t *NATSTransport) moveFrom(ctx context.Context, old *natsLink) {
	from := t.state.Load()
	for ctx.Err() == nil && from.link == old && from.up() {
		err := t.tryMove(ctx, from)
		if err == nil {
			t.metrics.CountRPC(EventMoved)
			t.log.WithField("epoch", t.status().epoch).Info("moved away from a nats node in lame duck mode")
			return
		}
		t.log.WithError(err).Warn("cannot move away from a nats node in lame duck mode yet")
		if !pause(ctx, natsReconnect+randomUpTo(natsJitter)) {
			return
		}
	}
}

func (t *NATSTransport) tryMove(ctx context.Context, from *natsState) error {
	to, err := t.connectElsewhere(ctx, from.link)
	if err != nil {
		return err
	}
	merges, err := t.replace(ctx, from, to)
	if err != nil {
		return t.urls.redact(err)
	}
	t.leaveOld(ctx, from, merges)
	return nil
}

// replace puts link to in the place of the one of from, unless that was made
// anew meanwhile. When it fails, to is closed.
func (t *NATSTransport) replace(ctx context.Context, from *natsState, to *natsLink) ([]*natsMerge, error) {
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.state.Load().link != from.link {
		to.close(context.WithoutCancel(ctx))
		return nil, errOldLinkBad
	}
	merges, err := t.subs.startMerge(from.link, to)
	if err == nil {
		err = t.takeOver(ctx, from, to, merges)
	}
	if err != nil {
		for _, merge := range merges {
			merge.giveUp()
		}
		t.subs.forget(to)
		to.close(context.WithoutCancel(ctx))
	}
	return merges, err
}

// connectElsewhere connects to any node but the one that old is connected to.
func (t *NATSTransport) connectElsewhere(ctx context.Context, old *natsLink) (*natsLink, error) {
	except := []string{old.nc.ConnectedAddr()}
	if u, err := url.Parse(old.nc.ConnectedUrl()); err == nil {
		except = append(except, u.Host)
	}
	urls := t.urls.dial(old.nc.DiscoveredServers(), except...)
	if urls == "" {
		return nil, errSameNode
	}
	id := old.nc.ConnectedServerId()
	link, err := t.connect(ctx, urls)
	if err != nil {
		return nil, err
	}
	if link.nc.ConnectedServerId() == id { // under another name
		link.close(ctx)
		return nil, errSameNode
	}
	return link, nil
}

// takeOver makes to the link that is delivered from and sent on.
func (t *NATSTransport) takeOver(ctx context.Context, from *natsState, to *natsLink, merges []*natsMerge) error {
	if err := to.flush(ctx); err != nil {
		return err
	}
	if err := t.awaitInterest(ctx, from, to); err != nil {
		return err
	}
	for _, merge := range merges {
		merge.spread()
	}
	t.settle(ctx, from, to)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case to.broken.Load() >= to.dialed.Load():
		return errNewLinkBad
	}
	for _, merge := range merges {
		merge.cut()
	}
	t.switchTo(ctx, from, to)
	return nil
}

// awaitInterest waits until what old's NATS node is sent reaches to. A node that
// routes the probe knows of everything that was subscribed before the probe.
func (t *NATSTransport) awaitInterest(ctx context.Context, from *natsState, to *natsLink) error {
	probe, err := newNATSProbe(to)
	if err != nil {
		return err
	}
	defer probe.end()
	give, cancel := context.WithTimeout(ctx, moveProbeWithin)
	defer cancel()
	tick := time.NewTicker(moveProbeEvery)
	defer tick.Stop()
	for {
		t.queue.do(func() { probe.send(from.link) })
		select {
		case <-probe.arrived:
			return nil
		case <-from.broke:
			return errOldLinkBad
		case <-give.Done():
			return context.Cause(give)
		case <-tick.C:
		}
	}
}

// settle waits until the old link has delivered all that only it could have. Of
// what is on its way between the two NATS nodes a probe against the direction
// of the move is the last; what comes from farther nodes gets mergeSettle. It
// matters little when the old link breaks meanwhile: what it had received is
// delivered, and everything since spread is on the new link as well.
func (t *NATSTransport) settle(ctx context.Context, from *natsState, to *natsLink) {
	timer := time.NewTimer(mergeSettle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-from.broke:
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(ctx, moveDrainWithin)
	defer cancel()
	t.awaitStragglers(ctx, from, to)
	if err := from.link.barrier(ctx); err != nil {
		t.log.WithError(err).Warn("nats messages are delivered too slowly for a move in order")
	}
}

// awaitStragglers waits until what the new NATS node sent to the old one before
// has come out of the old link.
func (t *NATSTransport) awaitStragglers(ctx context.Context, from *natsState, to *natsLink) {
	probe, err := newNATSProbe(from.link)
	if err != nil {
		return // closed: nothing comes any more
	}
	defer probe.end()
	if from.link.flush(ctx) != nil {
		return
	}
	tick := time.NewTicker(moveProbeEvery)
	defer tick.Stop()
	for {
		t.queue.do(func() { probe.send(to) })
		select {
		case <-probe.arrived:
			return
		case <-from.broke:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// switchTo has the writer, between two messages, send on link to from now on.
// First it makes sure that the old NATS node has passed on what it was sent, so
// that a later message to the same server does not overtake.
func (t *NATSTransport) switchTo(ctx context.Context, from *natsState, to *natsLink) {
	done := make(chan struct{})
	queued := t.queue.do(func() {
		defer close(done)
		flushed := t.passedOn(ctx, from.link, to)
		t.adopt(to)
		if flushed != nil { // the last messages may not have been taken
			t.lost(from.epoch)
		}
	})
	if queued {
		<-done // bounded by the time-outs of passedOn
	}
}

func (t *NATSTransport) passedOn(ctx context.Context, old, to *natsLink) error {
	if err := old.flush(ctx); err != nil {
		return err
	}
	probe, err := newNATSProbe(to)
	if err != nil {
		return nil
	}
	defer probe.end()
	if to.flush(ctx) != nil {
		return nil
	}
	probe.send(old)
	timer := time.NewTimer(moveSwitchProbe)
	defer timer.Stop()
	select {
	case <-probe.arrived:
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// leaveOld keeps the old link until the calls that were made on it are answered.
func (t *NATSTransport) leaveOld(ctx context.Context, from *natsState, merges []*natsMerge) {
	t.subs.leave(from.link)
	deadline := time.Now().Add(moveReplyWithin)
	pause(ctx, moveLinger)
	for from.up() && t.outstanding(from.epoch) > 0 && time.Now().Before(deadline) {
		if !pause(ctx, moveReplyPoll) {
			break
		}
	}
	for _, merge := range merges {
		merge.finish()
	}
	t.subs.forget(from.link)
	from.link.close(context.WithoutCancel(ctx))
}

// startMerge subscribes everything on link to as well, with flows that merge.
func (s *natsSubscriptions) startMerge(from, to *natsLink) ([]*natsMerge, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = append(s.links, to)
	merges := []*natsMerge{newNATSMerge(&s.flow, from, to)}
	s.flow.merge.Store(merges[0])
	for sub := range s.all {
		if sub.mode == deliverInOrder {
			merge := newNATSMerge(sub.flow, from, to)
			sub.flow.merge.Store(merge)
			merges = append(merges, merge)
		}
		if err := s.attachTo(to, sub); err != nil {
			return merges, err
		}
	}
	return merges, nil
}

// natsProbe is a message to a subject that only one link knows.
type natsProbe struct {
	subject string
	arrived chan struct{}
	sub     *nats.Subscription
}

func newNATSProbe(to *natsLink) (*natsProbe, error) {
	p := &natsProbe{subject: inboxPrefix + nuid.Next(), arrived: make(chan struct{}, 1)}
	var err error
	p.sub, err = to.nc.Subscribe(p.subject, func(*nats.Msg) {
		select {
		case p.arrived <- struct{}{}:
		default:
		}
	})
	return p, err
}

// send publishes the probe on link; only the writer calls it.
func (p *natsProbe) send(link *natsLink) { _ = link.nc.Publish(p.subject, nil) }

func (p *natsProbe) end() { _ = p.sub.Unsubscribe() }
