package protocol

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cereus-game/cereus/errs"
)

// Fields of protos.Error, and of the entries of its map (wire.md 4.1).
const (
	fieldCode     = 1
	fieldMessage  = 2
	fieldMetadata = 3
	fieldKey      = 1
	fieldValue    = 2
)

// appendErrorProtobuf writes the map in key order, so that equal errors are
// equal bytes.
func appendErrorProtobuf(dst []byte, code, text string, metadata map[string]string) []byte {
	dst = appendString(dst, fieldCode, code)
	dst = appendString(dst, fieldMessage, text)
	var entry []byte
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		entry = appendString(entry[:0], fieldKey, key)
		entry = appendString(entry, fieldValue, metadata[key])
		dst = protowire.AppendTag(dst, fieldMetadata, protowire.BytesType)
		dst = protowire.AppendBytes(dst, entry)
	}
	return dst
}

// appendString replaces broken UTF-8: a proto3 reader refuses the whole message
// for it, and the error would be lost.
func appendString(dst []byte, field protowire.Number, s string) []byte {
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return protowire.AppendString(dst, strings.ToValidUTF8(s, "\uFFFD"))
}

func decodeErrorProtobuf(body []byte) (*errs.Error, error) {
	e := new(errs.Error)
	err := eachBytesField(body, func(field protowire.Number, value []byte) error {
		switch field {
		case fieldCode:
			e.Code = errs.Code(value)
		case fieldMessage:
			e.Message = string(value)
		case fieldMetadata:
			return addEntry(e, value)
		default: // of a later version
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("error body: %w", err)
	}
	return e, nil
}

func addEntry(e *errs.Error, entry []byte) error {
	var key, value string
	err := eachBytesField(entry, func(field protowire.Number, b []byte) error {
		switch field {
		case fieldKey:
			key = string(b)
		case fieldValue:
			value = string(b)
		default: // of a later version
		}
		return nil
	})
	if err != nil {
		return err
	}
	if e.Metadata == nil {
		e.Metadata = make(map[string]string)
	}
	e.Metadata[key] = value
	return nil
}

// eachBytesField walks the fields of a protobuf message and skips those that
// are not strings, bytes or messages.
func eachBytesField(b []byte, visit func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		field, wireType, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if wireType != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(field, wireType, b); n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := visit(field, value); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
