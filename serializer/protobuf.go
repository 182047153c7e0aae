package serializer

import (
	"errors"

	"google.golang.org/protobuf/proto"
)

// ErrNotMessage says that a value is not a proto.Message: give handlers pointers
// to generated types, or []byte. Clients see this text, it is the reference's.
var ErrNotMessage = errors.New("protobuf: convert on wrong type value")

var _ Serializer = protobufSerializer{}

type protobufSerializer struct{}

// Protobuf encodes messages that implement proto.Message; any other value gives
// ErrNotMessage.
func Protobuf() Serializer { return protobufSerializer{} }

// Name is NameProtobuf.
func (protobufSerializer) Name() string { return NameProtobuf }

// Marshal encodes a proto.Message.
func (protobufSerializer) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, ErrNotMessage
	}
	return proto.Marshal(m)
}

// Unmarshal resets v, a proto.Message, and decodes data into it.
func (protobufSerializer) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return ErrNotMessage
	}
	return proto.Unmarshal(data, m)
}
