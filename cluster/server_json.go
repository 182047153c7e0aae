package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

const (
	// maxServerValue bounds the value of a server in etcd, in bytes.
	maxServerValue = 64 << 10
	// extensionVersion is the "v" of the "cereus" key that this code writes.
	extensionVersion = 1
)

// serverValue is the JSON of a server; the order of the fields is wire.md 6.1.
type serverValue struct {
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Metadata map[string]string `json:"metadata"`
	Frontend bool              `json:"frontend"`
	Hostname string            `json:"hostname"`
	Cereus   *serverExtension  `json:"cereus,omitempty"`
}

type serverExtension struct {
	Version int      `json:"v"`
	Nonce   string   `json:"nonce"`
	Caps    []string `json:"caps"`
	State   State    `json:"state"`
	Weight  int      `json:"weight"`
}

// incomingValue leaves open what real peers get wrong.
type incomingValue struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Metadata json.RawMessage `json:"metadata"`
	Frontend bool            `json:"frontend"`
	Hostname string          `json:"hostname"`
	Cereus   json.RawMessage `json:"cereus"`
}

// MarshalJSON writes the server as it stands in etcd: the keys of wire.md 6.1
// in Pitaya's order, byte for byte as Pitaya writes them, then for a server of
// ours one key "cereus". Metadata that is nil becomes null. Epoch and
// Revision are not part of it.
func (s *Server) MarshalJSON() ([]byte, error) {
	value := serverValue{ID: s.ID, Type: s.Type, Metadata: s.Metadata, Frontend: s.Frontend, Hostname: s.Hostname}
	if s.Cereus() {
		value.Cereus = &serverExtension{
			Version: extensionVersion,
			Nonce:   s.Nonce,
			Caps:    append([]string{}, s.Caps...),
			State:   s.state(),
			Weight:  s.Weight,
		}
	}
	return json.Marshal(value)
}

// UnmarshalJSON reads a server as it stands in etcd. Keys it does not know are
// ignored and missing ones are empty. Metadata that is missing, null or a
// string (C# peers send "") is empty, never nil; metadata with a value that is not a
// string is an error, as in Pitaya (wire.md 6.1). A "cereus" key that cannot be read
// makes the server a Pitaya one.
func (s *Server) UnmarshalJSON(data []byte) error {
	var in incomingValue
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("server value: %w", err)
	}
	metadata, err := decodeMetadata(in.Metadata)
	if err != nil {
		return err
	}
	*s = Server{ID: in.ID, Type: in.Type, Metadata: metadata, Frontend: in.Frontend, Hostname: in.Hostname, State: StateUp}
	var ext serverExtension
	if len(in.Cereus) > 0 && json.Unmarshal(in.Cereus, &ext) == nil {
		s.extend(ext)
	}
	return nil
}

// extend adds what is under the "cereus" key.
func (s *Server) extend(ext serverExtension) {
	s.Nonce, s.Caps, s.Weight = ext.Nonce, ext.Caps, max(ext.Weight, 0)
	if ext.State != "" {
		s.State = ext.State
	}
}

// decodeServer is UnmarshalJSON, with a short way for the usual value.
func decodeServer(value []byte) (*Server, error) {
	if s, ok := scanServer(value); ok {
		return s, nil
	}
	s := new(Server)
	return s, s.UnmarshalJSON(value)
}

func decodeMetadata(raw json.RawMessage) (map[string]string, error) {
	metadata := map[string]string{}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] == '"' {
		return metadata, nil
	}
	if err := json.Unmarshal(raw, &metadata); err != nil {
		return nil, fmt.Errorf("server metadata: %w", err)
	}
	if metadata == nil { // the value was null
		metadata = map[string]string{}
	}
	return metadata, nil
}

// ValidServerName reports whether name can be the id or the type of a server:
// 1 to 64 of A-Z a-z 0-9 _ . and -.
func ValidServerName(name string) bool {
	if len(name) == 0 || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

// state is the state with the zero value spelled out.
func (s *Server) state() State {
	if s.State == "" {
		return StateUp
	}
	return s.State
}

// routable reports whether the server may be given work.
func (s *Server) routable() bool {
	state := s.state()
	return state == StateUp || state == StateBusy
}

// clone is a copy that shares nothing with s.
func (s *Server) clone() *Server {
	c := *s
	c.Metadata = maps.Clone(s.Metadata)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Caps = slices.Clone(s.Caps)
	return &c
}

// withState is a copy in another state; it shares metadata and caps, which
// nobody changes.
func (s *Server) withState(state State) *Server {
	c := *s
	c.State = state
	return &c
}

// withID is withState for the id.
func (s *Server) withID(id string) *Server {
	c := *s
	c.ID = id
	return &c
}

// departed is a copy of a server that is gone.
func (s *Server) departed(state State) *Server {
	c := s.withState(state)
	c.gone = true
	return c
}

// sameRun reports whether two values are of one run of one server.
func sameRun(a, b *Server) bool {
	return a.Epoch == b.Epoch && a.Type == b.Type && a.Nonce == b.Nonce
}

// equal reports whether two values of a server say the same, Epoch included and
// Revision not.
func (s *Server) equal(o *Server) bool {
	return s == o || s.Epoch == o.Epoch && s.gone == o.gone && s.says(o)
}

// says reports whether two values of a server say the same.
func (s *Server) says(o *Server) bool {
	return s.ID == o.ID && s.Type == o.Type && s.Frontend == o.Frontend &&
		s.Hostname == o.Hostname && s.Nonce == o.Nonce && s.state() == o.state() && s.Weight == o.Weight &&
		maps.Equal(s.Metadata, o.Metadata) && slices.Equal(s.Caps, o.Caps)
}

// validate checks what a server says of itself before others hear it.
func (s *Server) validate() error {
	switch {
	case !ValidServerName(s.ID):
		return fmt.Errorf("server id %q: use 1 to 64 of A-Z a-z 0-9 _ . -", s.ID)
	case !ValidServerName(s.Type):
		return fmt.Errorf("server type %q: use 1 to 64 of A-Z a-z 0-9 _ . -", s.Type)
	}
	return s.fits()
}

// fits is the part of validate that an Edit can fail.
func (s *Server) fits() error {
	value, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("server %s: %w", s.ID, err)
	}
	if len(value) > maxServerValue {
		return fmt.Errorf("server %s: its metadata makes %d bytes, more than %d", s.ID, len(value), maxServerValue)
	}
	return nil
}
