package serializer

import "encoding/json"

var _ Serializer = jsonSerializer{}

type jsonSerializer struct{}

// JSON encodes as encoding/json does: <, > and & are escaped, keys of maps are
// sorted. Errors are encoding/json's own, since clients see their texts.
func JSON() Serializer { return jsonSerializer{} }

// Name is NameJSON.
func (jsonSerializer) Name() string { return NameJSON }

// Marshal is json.Marshal.
func (jsonSerializer) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal is json.Unmarshal.
func (jsonSerializer) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
