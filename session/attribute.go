package session

import (
	"encoding/json"
	"fmt"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
)

// Client is what the client said of itself in its handshake: platform, library,
// build and version of the game. Every field may be empty, and is on a backend.
// Clients say what they like: do not rely on it.
func (s *Session) Client() protocol.HandshakeSys {
	if s.handshake == nil {
		return protocol.HandshakeSys{}
	}
	return s.handshake.Sys
}

// Attribute is the value that the client sent under key of its handshake's user
// data: [ErrNotSet] when there is none, as always on a backend, and another
// error when it does not convert to T. What backends are to know, a frontend
// puts into the session's data. Numbers have the digits of a float64.
func Attribute[T any](s *Session, key string) (T, error) {
	var v T
	if s.handshake == nil {
		return v, fmt.Errorf("%w %q: it has no handshake here, as on every backend", ErrNotSet, key)
	}
	said, ok := s.handshake.User[key]
	if !ok || said == nil {
		return v, fmt.Errorf("%w %q in its handshake", ErrNotSet, key)
	}
	switch said.(type) {
	case map[string]any, []any: // the caller may change its copy
	default:
		if same, ok := said.(T); ok {
			return same, nil
		}
	}
	raw, err := json.Marshal(said)
	if err == nil {
		err = unmarshal(raw, &v, json.Unmarshal)
	}
	if err != nil {
		var zero T
		return zero, errs.Wrap(errs.CodeBadRequest, fmt.Errorf("handshake data %q: %w", key, err))
	}
	return v, nil
}
