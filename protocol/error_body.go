package protocol

import (
	"errors"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/serializer"
)

// ErrEmptyErrorBody says that an error response has no body, which the protocol
// does not allow (wire.md 4.1).
var ErrEmptyErrorBody = errors.New("error response without a body")

// EncodeError writes the body of an error response in the server's serializer:
// protobuf for "protobuf", JSON for every other name. Code and message are
// always there, since clients crash without: an empty code becomes PIT-000, an
// empty message the text of the code.
func EncodeError(serializerName string, e *errs.Error) ([]byte, error) {
	if e == nil {
		return nil, errors.New("encode error: there is none; this is a bug of the caller")
	}
	code := e.Code
	if code == "" {
		code = errs.CodeInternal
	}
	text := e.Message
	if text == "" {
		text = code.Text()
	}
	if serializerName == serializer.NameProtobuf {
		return appendErrorProtobuf(nil, string(code), text, e.Metadata), nil
	}
	return errorJSON(string(code), text, e.Metadata)
}

// DecodeError reads the body of an error response. Peers leave parts out: a
// missing code becomes PIT-000, a missing message the text of the code, and
// unknown or oddly typed metadata is no fault.
func DecodeError(serializerName string, body []byte) (*errs.Error, error) {
	if len(body) == 0 {
		return nil, ErrEmptyErrorBody
	}
	decode := decodeErrorJSON
	if serializerName == serializer.NameProtobuf {
		decode = decodeErrorProtobuf
	}
	e, err := decode(body)
	if err != nil {
		return nil, err
	}
	if e.Code == "" {
		e.Code = errs.CodeInternal
	}
	if e.Message == "" {
		e.Message = e.Code.Text()
	}
	return e, nil
}
