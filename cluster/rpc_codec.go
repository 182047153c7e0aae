package cluster

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// Requests and responses are decoded here rather than by the generated code:
// the bytes that arrived belong to us, so their byte fields need no copy, and
// the parts of a request fit into one allocation. A fuzz test holds both ways
// of decoding to the same results. What is encoded uses the generated code.

var (
	errNoMsg    = errors.New("the request has no msg")
	errNotProto = errors.New("the message is not protobuf as expected")
)

// arrival is what every request needs, in one allocation. Only forwards have
// a session.
type arrival struct {
	in      Incoming
	request clusterpb.Request
	msg     clusterpb.Msg
}

// decode fills the request from data, which it keeps parts of.
func (a *arrival) decode(data []byte) error {
	if err := eachField(data, a.requestField); err != nil {
		return err
	}
	if a.request.Msg == nil {
		return errNoMsg
	}
	return nil
}

func (a *arrival) requestField(f field) error {
	r := &a.request
	switch f.number {
	case 1:
		return f.enum((*int32)(&r.Type))
	case 2:
		if !f.isBytes() {
			return nil
		}
		if r.Session == nil {
			r.Session = new(clusterpb.Session)
		}
		return eachField(f.bytes, a.sessionField)
	case 3:
		if !f.isBytes() {
			return nil
		}
		r.Msg = &a.msg
		return eachField(f.bytes, a.msgField)
	case 4:
		return f.string(&r.FrontendID)
	case 5:
		f.raw(&r.Metadata)
	case 1000:
		f.uint64(&r.OrderEpoch)
	case 1001:
		f.uint64(&r.Sequence)
	case 1002:
		return f.string(&r.FrontendNonce)
	case 1003:
		f.int64(&r.RemainingUs)
	}
	return nil
}

func (a *arrival) msgField(f field) error {
	switch f.number {
	case 1:
		f.uint64(&a.msg.Id)
	case 2:
		return f.string(&a.msg.Route)
	case 3:
		f.raw(&a.msg.Data)
	case 4:
		return f.string(&a.msg.Reply)
	case 5:
		return f.enum((*int32)(&a.msg.Type))
	}
	return nil
}

func (a *arrival) sessionField(f field) error {
	switch f.number {
	case 1:
		f.int64(&a.request.Session.Id)
	case 2:
		return f.string(&a.request.Session.Uid)
	case 3:
		f.raw(&a.request.Session.Data)
	case 1000:
		f.raw(&a.request.Session.Changed)
	}
	return nil
}

// unmarshalResponse fills resp from data, which it keeps parts of.
func unmarshalResponse(data []byte, resp *clusterpb.Response) error {
	return eachField(data, func(f field) error {
		switch {
		case f.number == 1:
			f.raw(&resp.Data)
		case f.number == 2 && f.isBytes():
			if resp.Error == nil {
				resp.Error = new(clusterpb.Error)
			}
			return proto.UnmarshalOptions{Merge: true}.Unmarshal(f.bytes, resp.Error)
		case f.number == 1000 && f.kind == protowire.VarintType:
			resp.NotRun = f.varint != 0
		}
		return nil
	})
}

// field is one field on the wire. One whose wire type is not the expected one is
// skipped, as the generated code does.
type field struct {
	number protowire.Number
	kind   protowire.Type
	varint uint64
	bytes  []byte
}

// eachField calls fn for every field of a message, and stops at its first error.
func eachField(data []byte, fn func(field) error) error {
	for len(data) > 0 {
		var f field
		var n int
		f.number, f.kind, n = protowire.ConsumeTag(data)
		if n < 0 || !f.number.IsValid() {
			return errNotProto
		}
		data = data[n:]
		switch f.kind {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(f.number, f.kind, data)
		}
		if n < 0 {
			return errNotProto
		}
		data = data[n:]
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

func (f *field) isBytes() bool { return f.kind == protowire.BytesType }

func (f *field) enum(to *int32) error {
	if f.kind == protowire.VarintType {
		*to = int32(f.varint)
	}
	return nil
}

func (f *field) uint64(to *uint64) {
	if f.kind == protowire.VarintType {
		*to = f.varint
	}
}

func (f *field) int64(to *int64) {
	if f.kind == protowire.VarintType {
		*to = int64(f.varint)
	}
}

func (f *field) string(to *string) error {
	if !f.isBytes() {
		return nil
	}
	if !utf8.Valid(f.bytes) {
		return errNotProto
	}
	*to = string(f.bytes)
	return nil
}

// raw makes to a part of the message, with no room behind it.
func (f *field) raw(to *[]byte) {
	if f.isBytes() {
		*to = f.bytes[:len(f.bytes):len(f.bytes)]
	}
}
