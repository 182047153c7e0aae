package dispatch

import (
	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// metadataRoom holds the metadata of most calls.
const metadataRoom = 224

// envelope is a request on its way out, with room for all its parts: it lives
// only until the client has encoded it.
type envelope struct {
	request  clusterpb.Request
	msg      clusterpb.Msg
	session  clusterpb.Session
	metadata []byte
}

// envelope returns an empty one, from putEnvelope if there is any.
func (d *Dispatcher) envelope() *envelope {
	if e, ok := d.envelopes.Get().(*envelope); ok {
		return e
	}
	return &envelope{metadata: make([]byte, 0, metadataRoom)}
}

// putEnvelope takes back what the client does not need any more.
func (d *Dispatcher) putEnvelope(e *envelope) {
	room := e.metadata[:0]
	if cap(room) > 4*metadataRoom {
		room = make([]byte, 0, metadataRoom)
	}
	*e = envelope{metadata: room} // it must not keep players' data alive
	d.envelopes.Put(e)
}

// seal puts the parts together.
func (e *envelope) seal(meta *metadata, h hop) *clusterpb.Request {
	e.metadata = meta.appendTo(e.metadata, h)
	e.request.Msg, e.request.Metadata = &e.msg, e.metadata
	return &e.request
}
