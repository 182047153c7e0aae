package dispatch

import (
	"context"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/session"
)

// greeter is an entity whose client may not be ready for pushes yet.
type greeter interface{ Greeted() bool }

// Broadcast pushes p to everyone on the frontends of the type, with one NATS
// message. It returns the ids of frontends that cannot be reached like this:
// those that are not of ours.
func (d *Dispatcher) Broadcast(_ context.Context, frontendType string, p Parcel, to *clusterpb.Everyone) (unreached []string, err error) {
	push, err := d.wire(&p)
	if err != nil {
		return nil, err
	}
	push.Everyone = &clusterpb.Everyone{Unbound: to.GetUnbound(), Where: to.GetWhere()}
	if d.Pool != nil && frontendType == d.Self.Type {
		if err := d.pushToEveryone(push); err != nil {
			return nil, err
		}
		push.Everyone.Done = d.Self.Nonce
	}
	if d.client == nil {
		return nil, nil
	}
	servers, _ := d.holders(frontendType)
	for _, s := range servers {
		if !s.Has(constants.CapPush) {
			unreached = append(unreached, s.ID)
		}
	}
	return unreached, d.client.PushToFrontends(frontendType, push)
}

// pushToEveryone pushes to the sessions of this frontend that are meant.
func (d *Dispatcher) pushToEveryone(push *clusterpb.Push) error {
	to := push.GetEveryone()
	if d.did(to.GetDone()) {
		return nil
	}
	packet, err := d.packet(push)
	if err != nil {
		return err
	}
	var t tally
	d.Pool.Each(func(s *session.Session) bool {
		if isMeant(s, to) {
			d.write(s, packet, &t)
		}
		return true
	})
	d.count(&t)
	return nil
}

// did reports whether a push that says done was pushed to the sessions here by
// this run when it sent it.
func (d *Dispatcher) did(done string) bool { return done != "" && done == d.Self.Nonce }

func isMeant(s *session.Session, to *clusterpb.Everyone) bool {
	if s.UID() == "" {
		if !to.GetUnbound() {
			return false
		}
		if g, ok := s.Entity().(greeter); ok && !g.Greeted() {
			return false
		}
	}
	for _, c := range to.GetWhere() {
		if !s.Has(c.GetKey(), c.GetValue()) {
			return false
		}
	}
	return true
}
