package dispatch

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

// Delivery is what is known of a user to whom something was pushed.
type Delivery int

// Higher is better, when several frontends tell.
const (
	DeliveryUnknown Delivery = iota
	DeliveryOffline
	DeliveryDropped
	DeliveryOnline
)

// The bytes of clusterpb.PushAnswer.
const (
	foundNowhere byte = iota
	foundQueued
	foundDropped
)

// findings are what a push found out about its users.
type findings struct {
	uids     []string
	delivery []Delivery // of each
	doubt    bool       // somebody who could hold users did not tell
}

func (f *findings) found(i int, what byte) {
	switch what {
	case foundQueued:
		f.delivery[i] = DeliveryOnline
	case foundDropped:
		f.delivery[i] = max(f.delivery[i], DeliveryDropped)
	}
}

// open are the users whom others may have, with their places: those that nobody
// has told of, or all.
func (f *findings) open(all bool) (uids []string, at []int) {
	for i, uid := range f.uids {
		if (all || f.delivery[i] == DeliveryUnknown) && fitsList(uid) {
			uids, at = append(uids, uid), append(at, i)
		}
	}
	return uids, at
}

// result settles who is offline, which is known only when everybody told.
func (f *findings) result() map[string]Delivery {
	all := make(map[string]Delivery, len(f.uids))
	for i, uid := range f.uids {
		what := f.delivery[i]
		if what == DeliveryUnknown && !f.doubt {
			what = DeliveryOffline
		}
		all[uid] = max(all[uid], what)
	}
	return all
}

// Deliver is PushToUsers that asks every frontend of the type whom it had: one
// request per frontend and up to 2,000 users, all frontends at once. ctx bounds
// the waiting; without a deadline it is the time of a call.
func (d *Dispatcher) Deliver(ctx context.Context, frontendType string, p Parcel, uids []string) (map[string]Delivery, error) {
	push, err := d.wire(&p)
	if err != nil {
		return nil, err
	}
	f := &findings{uids: uids, delivery: make([]Delivery, len(uids))}
	if d.Pool != nil && frontendType == d.Self.Type {
		here, err := d.deliverHere(push, uids)
		if err != nil {
			return nil, err
		}
		for i, what := range here {
			f.found(i, what)
		}
	}
	rest, at := f.open(d.elsewhereToo()) // who is here may be elsewhere as well
	if d.client != nil && len(rest) > 0 {
		d.deliverAway(ctx, frontendType, push, f, rest, at)
	}
	return f.result(), nil
}

// told is what one frontend answered.
type told struct {
	found []byte // of the first users; nil when it does not tell
	err   error
}

func (d *Dispatcher) deliverAway(ctx context.Context, frontendType string, push *clusterpb.Push, f *findings, uids []string, at []int) {
	servers, all := d.holders(frontendType)
	answers := make(chan told, len(servers))
	asked, silent := 0, len(servers) == 0
	for _, s := range servers {
		switch {
		case s.ID == d.Self.ID:
		case !s.Has(constants.CapPush):
			silent = true
		case d.group.Go("deliver", func(context.Context) { answers <- d.ask(ctx, s, push, uids) }):
			asked++
		default:
			silent = true
		}
	}
	f.doubt = silent || !all
	if silent { // those who do not tell get it on the users' own subjects
		_, _ = d.pushEach(frontendType, copied(push), uids)
	}
	for range asked {
		answer := <-answers // ctx ends the calls
		f.doubt = f.doubt || answer.err != nil
		for i, what := range answer.found {
			f.found(at[i], what)
		}
	}
}

// ask pushes to those of the users who are on one frontend.
func (d *Dispatcher) ask(ctx context.Context, to *cluster.Server, push *clusterpb.Push, uids []string) (answer told) {
	_, answer.err = inLists(push, uids, func(list *clusterpb.Push) error {
		data, err := proto.Marshal(list)
		if err != nil {
			return errs.Wrap(errs.CodeInternal, err)
		}
		reply, err := d.callOne(ctx, to, routeDeliver, data)
		if err != nil {
			return err
		}
		var found clusterpb.PushAnswer
		if err := proto.Unmarshal(reply, &found); err != nil {
			return errs.Wrap(errs.CodeInternal, err)
		}
		if len(found.GetFound()) != len(list.GetUids()) {
			return errs.New(errs.CodeInternal, "a frontend answered for other users than it was asked for")
		}
		answer.found = append(answer.found, found.GetFound()...)
		return nil
	})
	return answer
}

// deliverHere is pushHere that tells of each user.
func (d *Dispatcher) deliverHere(push *clusterpb.Push, uids []string) ([]byte, error) {
	packet, err := d.packet(push)
	if err != nil {
		return nil, err
	}
	var t tally
	found := make([]byte, len(uids))
	for i, uid := range uids {
		switch d.writeTo(uid, packet, &t) {
		case Queued, Replaced:
			found[i] = foundQueued
		case Dropped:
			found[i] = foundDropped
		}
	}
	d.count(&t)
	return found, nil
}

// deliver is the remote of Deliver.
func (s *system) deliver(_ context.Context, push *clusterpb.Push) (*clusterpb.PushAnswer, error) {
	if s.d.Pool == nil {
		return nil, errs.ErrSessionNotFound
	}
	found, err := s.d.deliverHere(push, push.GetUids())
	if err != nil {
		return nil, err
	}
	return &clusterpb.PushAnswer{Found: found}, nil
}
