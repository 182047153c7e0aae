package session

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
)

var errNotObject = errors.New("session data is not a JSON object")

// data is a JSON object in two forms, each made when it is needed: the encoded
// one travels with every forwarded message, the parsed one answers Get.
type data struct {
	encoded []byte // nil: make it from entries; never changed in place
	entries []entry
	parsed  bool
}

// entry is one key with its encoded value. Values are never changed in place.
type entry struct {
	key string
	raw json.RawMessage
}

// load takes over an encoded object without parsing it.
func (d *data) load(encoded []byte) error {
	encoded = bytes.TrimSpace(encoded)
	if len(encoded) == 0 || string(encoded) == "null" {
		*d = data{parsed: true}
		return nil
	}
	if encoded[0] != '{' || !json.Valid(encoded) {
		return objectError(encoded)
	}
	*d = data{encoded: encoded}
	return nil
}

// objectError says what is wrong with encoded, in the decoder's words.
func objectError(encoded []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &object); err != nil {
		return err
	}
	return errNotObject
}

func parse(encoded []byte) ([]entry, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &object); err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(object))
	for key, raw := range object {
		entries = append(entries, entry{key, raw})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return entries, nil
}

func (d *data) parse() {
	if !d.parsed {
		// load checked it; an error would leave the object empty.
		d.entries, _ = parse(d.encoded)
		d.parsed = true
	}
}

func (d *data) find(key string) (int, bool) {
	d.parse()
	return slices.BinarySearchFunc(d.entries, key, func(e entry, key string) int { return cmp.Compare(e.key, key) })
}

// lookup returns the encoded value of key, nil when there is none.
func (d *data) lookup(key string) json.RawMessage {
	if i, ok := d.find(key); ok {
		return d.entries[i].raw
	}
	return nil
}

// put sets a key, or deletes it when raw is null.
func (d *data) put(key string, raw json.RawMessage) {
	i, exists := d.find(key)
	d.encoded = nil
	switch remove := isNull(raw); {
	case exists && remove:
		d.entries = slices.Delete(d.entries, i, i+1)
	case exists:
		d.entries[i].raw = raw
	case !remove:
		d.entries = slices.Insert(d.entries, i, entry{key, raw})
	}
}

// bytes returns the encoded object, which nobody may change.
func (d *data) bytes() []byte {
	if d.encoded == nil {
		d.encoded = encode(d.entries)
	}
	return d.encoded
}

// encode writes entries, which are sorted, as encoding/json writes a map.
func encode(entries []entry) []byte {
	out := []byte{'{'}
	for i, e := range entries {
		if i > 0 {
			out = append(out, ',')
		}
		key, _ := json.Marshal(e.key) //nolint:errchkjson // a string always encodes
		out = append(append(append(out, key...), ':'), e.raw...)
	}
	return append(out, '}')
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// note is put that keeps a deletion as null.
func (d *data) note(key string, raw json.RawMessage) {
	if raw == nil {
		raw = json.RawMessage("null")
	}
	i, _ := d.find(key)
	d.entries = slices.Insert(d.entries, i, entry{key, raw})
}
