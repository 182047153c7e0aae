package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
)

// HandshakeRequest is what a client says first (wire.md 2.2).
type HandshakeRequest struct {
	Sys HandshakeSys
	// User is the application's own data; nil when the client sent none. Numbers
	// are float64.
	User map[string]any
}

// HandshakeSys describes the client. Every field may be empty.
type HandshakeSys struct {
	Platform    string // "desktop", "android", "ios", "mac", ...
	LibVersion  string // of the client library
	BuildNumber string // of the game
	Version     string // of the game
}

// ErrDuplicateKey says that a handshake has one key twice, so that its readers
// could disagree about what it means.
var ErrDuplicateKey = errors.New("duplicate key in the handshake")

type wireHandshakeRequest struct {
	Sys  wireHandshakeSys `json:"sys"`
	User map[string]any   `json:"user,omitempty"`
}

type wireHandshakeSys struct {
	Platform    string `json:"platform"`
	LibVersion  string `json:"libVersion"`
	BuildNumber string `json:"clientBuildNumber"`
	Version     string `json:"clientVersion"`
}

// ParseHandshakeRequest reads the body of a client's handshake packet: plain
// JSON, null and {} included. Keys match in any case, unknown ones are ignored,
// a known key of the wrong type or a key given twice is an error; the client is
// then answered with code 400. The caller limits the size of b; nesting deeper
// than 10,000 is refused.
func ParseHandshakeRequest(b []byte) (*HandshakeRequest, error) {
	var w wireHandshakeRequest
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	if err := checkDuplicates(b); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return &HandshakeRequest{Sys: HandshakeSys(w.Sys), User: w.User}, nil
}

// AppendHandshakeRequest appends the body that a client sends, with keys in the
// order of libpitaya and without user when that is empty. It fails when User
// holds something that JSON cannot say.
func AppendHandshakeRequest(dst []byte, r *HandshakeRequest) ([]byte, error) {
	body, err := json.Marshal(wireHandshakeRequest{Sys: wireHandshakeSys(r.Sys), User: r.User})
	if err != nil {
		return dst, fmt.Errorf("handshake: user data: %w", err)
	}
	return append(dst, body...), nil
}
