package dispatch

import (
	"cmp"
	"context"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	address "github.com/cereus-game/cereus/route"
	"github.com/cereus-game/cereus/session"
)

// uidsPerMessage bounds the list of one push, far below the limit of NATS.
const uidsPerMessage = 2000

// PacketWriter is implemented by a frontend's session entity: it takes a push
// that was encoded once for many sessions.
type PacketWriter interface {
	WritePacket(packet []byte) error
}

// payload encodes what a push on route carries. A route that no frontend could
// send is refused here: there it would only be dropped.
func (d *Dispatcher) payload(route string, v any) ([]byte, error) {
	if len(route) > address.MaxLength {
		return nil, errs.Wrap(errs.CodeBadRequest, protocol.ErrRouteTooLong)
	}
	if raw, ok := v.([]byte); ok {
		return raw, nil
	}
	data, err := d.Serializer.Marshal(v)
	return data, badArgument(err)
}

// PushToUsers sends v to the users, wherever on frontends of the type they are.
// It returns the uids that it could not be sent to, and why if it failed as a
// whole. Users that nobody holds are not an error (wire.md 10.4), except on a
// server of the type in standalone mode, which knows all of them.
func (d *Dispatcher) PushToUsers(_ context.Context, frontendType, route string, v any, uids []string) ([]string, error) {
	data, err := d.payload(route, v)
	if err != nil {
		return uids, err
	}
	missing := uids
	if d.Pool != nil && frontendType == d.Self.Type && !d.elsewhereToo() { // else this server hears the push with the others
		if missing, err = d.pushHere(route, data, uids); err != nil {
			return uids, err
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	if d.client == nil {
		return missing, nil
	}
	return d.pushAway(frontendType, route, data, missing)
}

// pushHere pushes to the sessions of this frontend and returns the other uids.
func (d *Dispatcher) pushHere(route string, data []byte, uids []string) ([]string, error) {
	packet, err := d.PushPacket(route, data)
	if err != nil {
		return uids, err
	}
	var missing []string
	for _, uid := range uids {
		if !d.writeTo(uid, packet) {
			missing = append(missing, uid)
		}
	}
	return missing, nil
}

// writeTo queues packet for the sessions of a user, and reports whether one took it.
func (d *Dispatcher) writeTo(uid string, packet []byte) (taken bool) {
	if !d.Pool.Several() {
		s, ok := d.Pool.ByUID(uid)
		return ok && d.write(s, packet) == nil
	}
	d.Pool.OfUID(uid, func(s *session.Session) { taken = d.write(s, packet) == nil || taken })
	return taken
}

func (d *Dispatcher) write(s *session.Session, packet []byte) error {
	w, ok := s.Entity().(PacketWriter)
	if !ok {
		return errs.ErrClosed
	}
	return w.WritePacket(packet)
}

// PushPacket encodes a push once for every session that it goes to.
func (d *Dispatcher) PushPacket(route string, data []byte) ([]byte, error) {
	m := protocol.Message{Type: protocol.MessagePush, Route: route, Data: data}
	body, err := m.AppendTo(make([]byte, 0, len(route)+len(data)+16), d.Encoding)
	if err != nil {
		return nil, err
	}
	return protocol.AppendPacket(nil, protocol.PacketData, body)
}

// pushAway sends one message for all frontends to those that understand it, and
// one on each user's own subject to the others. Both hear both while there are
// both: the second says that it is a copy.
func (d *Dispatcher) pushAway(frontendType, route string, data []byte, uids []string) ([]string, error) {
	switch d.frontends(frontendType) {
	case ours:
		return d.pushLists(frontendType, route, data, uids)
	case theirs:
		return d.pushEach(frontendType, uids, &clusterpb.Push{Route: route, Data: data})
	}
	failed, err := d.pushLists(frontendType, route, data, uids)
	others, err2 := d.pushEach(frontendType, uids, &clusterpb.Push{Route: route, Data: data, Copied: true})
	return union(failed, others), cmp.Or(err, err2)
}

func (d *Dispatcher) pushEach(frontendType string, uids []string, push *clusterpb.Push) ([]string, error) {
	var failed []string
	var cause error
	for _, uid := range uids {
		if err := d.client.PushToUser(frontendType, uid, push); err != nil {
			failed, cause = append(failed, uid), err
		}
	}
	return failed, cause
}

func union(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	known := make(map[string]struct{}, len(a))
	for _, uid := range a {
		known[uid] = struct{}{}
	}
	for _, uid := range b {
		if _, ok := known[uid]; !ok {
			a = append(a[:len(a):len(a)], uid)
		}
	}
	return a
}

func (d *Dispatcher) pushLists(frontendType, route string, data []byte, uids []string) ([]string, error) {
	for most := uidsPerMessage; len(uids) > 0; {
		n := min(len(uids), most)
		push := &clusterpb.Push{Route: route, Data: data, Uids: uids[:n]}
		switch err := d.client.PushToFrontends(frontendType, push); {
		case err == nil:
			uids = uids[n:]
		case n > 1 && errs.CodeOf(err) == errs.CodeTooLarge:
			most = n / 2 // the data leaves less room for uids
		default:
			return uids, err
		}
	}
	return nil, nil
}
