package wirevectors

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"
)

//go:embed testdata/vectors.json
var file []byte

// Directions of a vector.
const (
	Encode = "encode" // Decoded went in, Hex came out (Error: it was refused)
	Decode = "decode" // Hex went in, Decoded or Error came out
)

// Vector is one recording. Which fields are set depends on its group.
type Vector struct {
	Name        string            `json:"name"`
	Group       string            `json:"group"`
	Direction   string            `json:"direction"`
	Description string            `json:"description"`
	Hex         string            `json:"hex"`
	Decoded     json.RawMessage   `json:"decoded"` // nil when the file has none; see DecodedInto
	Error       string            `json:"error"`   // Go error text, or "PANIC: ..."
	Source      string            `json:"source"`
	Dictionary  map[string]uint16 `json:"dictionary"`

	// Of the groups live-nats and rpc-behaviour.
	Subject     string          `json:"subject"`
	Reply       string          `json:"reply"`
	NATSHeaders json.RawMessage `json:"nats_headers"`
	ReplyHex    *string         `json:"reply_hex"` // nil: no reply came
}

// Load returns the vectors of these groups, or all without any group, in the
// order of the file. A group without vectors fails the test: it is misspelt.
func Load(t testing.TB, groups ...string) []Vector {
	t.Helper()
	var all []Vector
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatalf("testdata/vectors.json: %v", err)
	}
	if len(groups) == 0 {
		return all
	}
	for _, group := range groups {
		if !slices.ContainsFunc(all, func(v Vector) bool { return v.Group == group }) {
			t.Fatalf("no vector has the group %q", group)
		}
	}
	return slices.DeleteFunc(all, func(v Vector) bool { return !slices.Contains(groups, v.Group) })
}

// Bytes is Hex as bytes, not nil.
func (v Vector) Bytes(t testing.TB) []byte {
	t.Helper()
	return unhex(t, v.Name, v.Hex)
}

// ReplyBytes is ReplyHex as bytes; nil when no reply came.
func (v Vector) ReplyBytes(t testing.TB) []byte {
	t.Helper()
	if v.ReplyHex == nil {
		return nil
	}
	return unhex(t, v.Name, *v.ReplyHex)
}

// DecodedInto unmarshals the meaning of the vector into a pointer.
func (v Vector) DecodedInto(t testing.TB, to any) {
	t.Helper()
	if err := json.Unmarshal(v.Decoded, to); err != nil {
		t.Fatalf("vector %s: decoded: %v", v.Name, err)
	}
}

func unhex(t testing.TB, name, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("vector %s: %v", name, err)
	}
	return b
}
