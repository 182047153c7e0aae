package dispatch

import (
	"cmp"

	"github.com/cereus-game/cereus/cluster/clusterpb"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	address "github.com/cereus-game/cereus/route"
	"github.com/cereus-game/cereus/session"
)

// Priority says what may happen to a push while its client does not read. The
// numbers travel (clusterpb.Push_Priority).
type Priority int32

// Must is never dropped, Droppable is when the queue is more than half full, and
// Latest gives way to a newer one of its key.
const (
	Must Priority = iota
	Droppable
	Latest
)

// Parcel is what is pushed.
type Parcel struct {
	Route    string
	Payload  any // []byte as it is
	Priority Priority
	Key      string // of Latest; "": the route
}

// Packet is a parcel that was encoded once for all sessions that it goes to.
type Packet struct {
	Bytes    []byte // shared: never changed
	Priority Priority
	Key      string // of Latest
}

// Fate is what became of a packet at one session. Lower is better.
type Fate int

// Gone is a session that is closed, or that cannot be pushed to.
const (
	Queued Fate = iota
	Replaced
	Dropped
	Gone
	fates
)

// tally counts fates.
type tally [fates]int

// count feeds the metrics.
func (d *Dispatcher) count(t *tally) {
	d.Metrics.Pushes("queued", t[Queued])
	d.Metrics.Pushes("replaced", t[Replaced])
	d.Metrics.Pushes("dropped", t[Dropped])
	d.Metrics.Pushes("closed", t[Gone])
}

// PacketWriter is implemented by a frontend's session entity. It never waits
// for the client.
type PacketWriter interface {
	WritePacket(p Packet) Fate
}

var (
	errPriority = errs.New(errs.CodeBadRequest, "the priority of the push is not known: use Must, Droppable or Latest")
	errKeyUsed  = errs.New(errs.CodeBadRequest, "the push has a key, which only priority Latest knows what to do with")
	errKeyLong  = errs.New(errs.CodeBadRequest, "the key of the push is longer than 255 bytes")
)

func (p *Parcel) check() error {
	switch {
	case p.Priority < Must || p.Priority > Latest:
		return errPriority
	case p.Key != "" && p.Priority != Latest:
		return errKeyUsed
	case len(p.Key) > address.MaxLength:
		return errKeyLong
	}
	return nil
}

// wire encodes the payload and makes the message of it that has no receivers yet.
func (d *Dispatcher) wire(p *Parcel) (*clusterpb.Push, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	data, err := d.EncodePush(p.Route, p.Payload)
	if err != nil {
		return nil, err
	}
	return &clusterpb.Push{Route: p.Route, Data: data, Priority: clusterpb.Push_Priority(p.Priority), Key: p.Key}, nil
}

// EncodePush encodes what a push on route carries. A route that no frontend could
// send is refused here: there it would only be dropped.
func (d *Dispatcher) EncodePush(route string, v any) ([]byte, error) {
	if len(route) > address.MaxLength {
		return nil, errs.Wrap(errs.CodeBadRequest, protocol.ErrRouteTooLong)
	}
	if raw, ok := v.([]byte); ok {
		return raw, nil
	}
	data, err := d.Serializer.Marshal(v)
	return data, badArgument(err)
}

// packet encodes a push for every session that it goes to. A priority that this
// version does not know is one that a newer server knows: it is not dropped.
func (d *Dispatcher) packet(push *clusterpb.Push) (Packet, error) {
	bytes, err := d.PushPacket(push.GetRoute(), push.GetData())
	p := Packet{Bytes: bytes}
	switch push.GetPriority() {
	case clusterpb.Push_Droppable:
		p.Priority = Droppable
	case clusterpb.Push_Latest:
		p.Priority, p.Key = Latest, cmp.Or(push.GetKey(), push.GetRoute())
	}
	return p, err
}

// PushPacket encodes a push as the packet that clients get.
func (d *Dispatcher) PushPacket(route string, data []byte) ([]byte, error) {
	m := protocol.Message{Type: protocol.MessagePush, Route: route, Data: data}
	body, err := m.AppendTo(make([]byte, 0, len(route)+len(data)+16), d.Encoding)
	if err != nil {
		return nil, err
	}
	return protocol.AppendPacket(nil, protocol.PacketData, body)
}

// writeTo queues the packet for the sessions of a user; the fate is the best of theirs.
func (d *Dispatcher) writeTo(uid string, p Packet, t *tally) Fate {
	if !d.Pool.Several() {
		if s, ok := d.Pool.ByUID(uid); ok {
			return d.write(s, p, t)
		}
		return Gone
	}
	best := Gone
	d.Pool.OfUID(uid, func(s *session.Session) { best = min(best, d.write(s, p, t)) })
	return best
}

func (d *Dispatcher) write(s *session.Session, p Packet, t *tally) Fate {
	fate := Gone
	if w, ok := s.Entity().(PacketWriter); ok {
		fate = w.WritePacket(p)
	}
	t[fate]++
	return fate
}
