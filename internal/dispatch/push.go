package dispatch

import (
	"cmp"
	"context"
	"slices"
	"unicode/utf8"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

// uidsPerMessage bounds the list of one push, far below the limit of NATS.
const uidsPerMessage = 2000

// PushToUsers sends p to the users, wherever on frontends of the type they are.
// It returns the uids that it could not be sent to, and why. Who is here is none
// of them, also when there is an error because others of the user's sessions may
// be elsewhere. Users that nobody holds are not an error (wire.md 10.4), except on a
// server of the type in standalone mode, which knows all of them.
func (d *Dispatcher) PushToUsers(_ context.Context, frontendType string, p Parcel, uids []string) ([]string, error) {
	push, err := d.wire(&p)
	if err != nil {
		return uids, err
	}
	missing, away := uids, uids
	if d.Pool != nil && frontendType == d.Self.Type {
		if missing, err = d.pushHere(push, uids); err != nil {
			return uids, err
		}
		if away = missing; d.elsewhereToo() {
			away, push.Done = uids, d.Self.Nonce
		}
	}
	if len(away) == 0 {
		return nil, nil
	}
	if d.client == nil {
		return missing, nil
	}
	failed, err := d.pushAway(frontendType, push, away)
	d.Metrics.Pushes("sent", len(away)-len(failed))
	return shared(failed, missing), err
}

// pushHere pushes to the sessions of this frontend and returns the other uids.
func (d *Dispatcher) pushHere(push *clusterpb.Push, uids []string) ([]string, error) {
	packet, err := d.packet(push)
	if err != nil {
		return uids, err
	}
	var missing []string
	var t tally
	for _, uid := range uids {
		if d.writeTo(uid, packet, &t) == Gone {
			missing = append(missing, uid)
		}
	}
	d.count(&t)
	return missing, nil
}

// pushAway sends one message for all frontends to those that understand it, and
// one on each user's own subject to the others. Both hear both while there are
// both: the second says that it is a copy.
func (d *Dispatcher) pushAway(frontendType string, push *clusterpb.Push, uids []string) ([]string, error) {
	switch d.frontends(frontendType) {
	case ours:
		return d.pushLists(frontendType, push, uids)
	case theirs:
		return d.pushEach(frontendType, forPitaya(push), uids)
	}
	failed, err := d.pushLists(frontendType, push, uids)
	others, err2 := d.pushEach(frontendType, copied(push), uids)
	return union(failed, others), cmp.Or(err, err2)
}

// forPitaya is push as a Pitaya server would send it, but for who is done with it:
// this frontend may hear it, too.
func forPitaya(push *clusterpb.Push) *clusterpb.Push {
	return &clusterpb.Push{Route: push.GetRoute(), Data: push.GetData(), Done: push.GetDone()}
}

// copied is push for frontends that do not know lists.
func copied(push *clusterpb.Push) *clusterpb.Push {
	second := forPitaya(push)
	second.Copied = true
	return second
}

func (d *Dispatcher) pushEach(frontendType string, push *clusterpb.Push, uids []string) ([]string, error) {
	var failed []string
	var cause error
	for _, uid := range uids {
		if err := d.client.PushToUser(frontendType, uid, push); err != nil {
			failed, cause = append(failed, uid), err
		}
	}
	return failed, cause
}

// shared are those of a that b has as well.
func shared(a, b []string) []string { return minus(a, minus(a, b)) }

func union(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	return append(slices.Clip(a), minus(b, a)...)
}

// minus are those of a that b does not have.
func minus(a, b []string) (rest []string) {
	if len(a) == 0 {
		return nil
	}
	known := make(map[string]struct{}, len(b))
	for _, uid := range b {
		known[uid] = struct{}{}
	}
	for _, uid := range a {
		if _, ok := known[uid]; !ok {
			rest = append(rest, uid)
		}
	}
	return rest
}

func (d *Dispatcher) pushLists(frontendType string, push *clusterpb.Push, uids []string) ([]string, error) {
	uids, failed, cause := forLists(uids)
	sent, err := inLists(push, uids, func(list *clusterpb.Push) error { return d.client.PushToFrontends(frontendType, list) })
	if err != nil {
		return append(failed, uids[sent:]...), err
	}
	return failed, cause
}

// fitsList reports whether a list of a message can have the uid. What does not
// fit no frontend of ours can have bound.
func fitsList(uid string) bool { return len(uid) <= session.MaxUID && utf8.ValidString(uid) }

// forLists takes out the uids that would spoil a list for the others.
func forLists(uids []string) (good, failed []string, cause error) {
	if !slices.ContainsFunc(uids, func(uid string) bool { return !fitsList(uid) }) {
		return uids, nil, nil
	}
	for _, uid := range uids {
		if fitsList(uid) {
			good = append(good, uid)
		} else {
			failed, cause = append(failed, uid), session.CheckUID(uid)
		}
	}
	return good, failed, cause
}

// inLists sends push to the uids in as few messages as there is room for, and
// returns to how many it was sent.
func inLists(push *clusterpb.Push, uids []string, send func(*clusterpb.Push) error) (sent int, err error) {
	for most := uidsPerMessage; sent < len(uids); {
		n := min(len(uids)-sent, most)
		list := &clusterpb.Push{
			Route: push.GetRoute(), Data: push.GetData(), Priority: push.GetPriority(), Key: push.GetKey(), Done: push.GetDone(),
			Uids: uids[sent : sent+n],
		}
		switch err := send(list); {
		case err == nil:
			sent += n
		case n > 1 && errs.CodeOf(err) == errs.CodeTooLarge:
			most = n / 2 // the data leaves less room for uids
		default:
			return sent, err
		}
	}
	return sent, nil
}
