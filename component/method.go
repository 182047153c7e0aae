package component

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/serializer"
	"google.golang.org/protobuf/proto"
)

// Kind says whether a method answers.
type Kind uint8

// The kinds of methods.
const (
	KindRequest Kind = iota + 1 // returns a reply or an error
	KindNotify                  // returns nothing
)

// String returns "request" or "notify".
func (k Kind) String() string {
	switch k {
	case KindRequest:
		return "request"
	case KindNotify:
		return "notify"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// Method is one handler or remote. It is immutable once it is in a [Table] and
// safe for concurrent use.
type Method struct {
	Service string // second part of the route
	Name    string // third part of the route
	Kind    Kind
	// Concurrent methods need not wait for the session's earlier handlers.
	Concurrent bool
	// Limit is how many calls of a remote may run at once; 0: the server's share.
	Limit int
	// Rate bounds how often one session may call it; see [WithRate].
	Rate Rate

	as      role
	arg     argShape
	newArg  func() any // a fresh *T for argTyped
	call    func(ctx context.Context, arg any) (any, error)
	raw     func(ctx context.Context, body []byte) ([]byte, error) // call without a change of types; nil: there are types
	argType string                                                 // for listings
	outType string
	owner   string // the component's type, for error messages
}

// role is the name space that a method belongs to.
type role uint8

const (
	asHandlers role = iota
	asRemotes
)

type argShape uint8

const (
	argNone  argShape = iota // the method takes only a context
	argRaw                   // []byte
	argTyped                 // *T through a serializer
	argProto                 // *T of a remote that is a protobuf message
)

// Short returns "service.method", the key of the method in its table.
func (m *Method) Short() string { return m.Service + "." + m.Name }

// Decode makes the method's argument out of a message body: nil when the
// method takes none (the body is ignored), data itself, though never nil, when
// it takes bytes, otherwise a fresh *T. Handlers use s; remotes use protobuf for protobuf
// messages and s for other types. A body that does not decode is
// [errs.CodeBadRequest] with the serializer's text. A panic of a type's own
// unmarshalling passes through.
func (m *Method) Decode(data []byte, s serializer.Serializer) (arg any, err error) {
	switch m.arg {
	case argNone:
		return nil, nil
	case argRaw:
		return present(data), nil
	case argTyped, argProto:
	}
	arg = m.newArg()
	if m.arg == argProto {
		err = proto.Unmarshal(data, arg.(proto.Message))
	} else {
		err = s.Unmarshal(data, arg)
	}
	if err != nil {
		return nil, errs.Wrap(errs.CodeBadRequest, err)
	}
	return arg, nil
}

// Call runs the method. arg is what Decode returned, or a value of the same
// type that a middleware put in its place; any other type is an error. The
// reply of a notify method is nil; a request method that returns nil and no
// error gives [errs.ErrNilReply]; a nil []byte is nil, an empty one is not. Panics of the method pass through: run it under
// pipeline.Recover.
func (m *Method) Call(ctx context.Context, arg any) (any, error) {
	return m.call(ctx, arg)
}

// Encode makes the body of an answer out of what Call returned, or what a
// middleware put in its place: nothing for nil, bytes as they are, otherwise
// by s, except that a remote's protobuf messages are always protobuf
// (wire.md 9.1). A failure is [errs.CodeInternal]; a panic of a type's own
// marshalling passes through.
func (m *Method) Encode(reply any, s serializer.Serializer) (body []byte, err error) {
	switch v := reply.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	}
	if message, ok := reply.(proto.Message); ok && m.as == asRemotes {
		body, err = proto.Marshal(message)
	} else {
		body, err = s.Marshal(reply)
	}
	if err != nil {
		return nil, errs.Wrap(errs.CodeInternal, err)
	}
	return body, nil
}

func (m *Method) wrongArgument(arg any) error {
	return errs.New(errs.CodeInternal,
		fmt.Sprintf("%s takes %s, but a pipeline passed %T", m.Short(), m.argType, arg))
}
