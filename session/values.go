package session

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/cereus-game/cereus/errs"
)

// Set stores v under key in the session's data. v must be something that JSON
// can say and is encoded at once: later changes of v are not seen. nil, and
// whatever else encodes as null, deletes the key. On a frontend the change is
// in effect at once, on a backend it is local until [Session.Save].
func (s *Session) Set(key string, v any) error {
	raw, err := marshal(v)
	if err != nil {
		return errs.Wrap(errs.CodeInternal, fmt.Errorf("session data %q: %w", key, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.put(key, raw)
	if s.backend {
		s.markUnsaved(key)
	}
	return nil
}

// Get returns the value of key as JSON has it: nil when there is none, bool,
// string, json.Number (so that no digit is lost), []any or map[string]any. For
// typed values use a [Key]. The value is a copy.
func (s *Session) Get(key string) any {
	raw := s.lookup(key)
	if raw == nil {
		return nil
	}
	var v any
	if err := unmarshal(raw, &v, exact); err != nil {
		return nil // cannot be: raw was valid JSON when it came
	}
	return v
}

// Data returns the session's data as a JSON object, {} when there is none. It
// is shared and must not be changed. After a change its keys are sorted.
func (s *Session) Data() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.bytes()
}

// Merge applies changes from a backend on the frontend. Keys that they do not
// name stay. Of changes of a key by several servers the one that comes later
// wins; of those by one server the one with the higher version, also when they
// come in another order, as after a Save that was given up and came late.
// When they are not a JSON object, nothing changes.
func (s *Session) Merge(c Changes) error {
	if len(bytes.TrimSpace(c.Object)) == 0 {
		return nil
	}
	entries, err := parse(c.Object)
	if err != nil {
		return errs.Wrap(errs.CodeInternal, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if s.newerLocked(e.key, c) {
			s.data.put(e.key, e.raw)
		}
	}
	return nil
}

// Replace puts all, a JSON object, in place of the session's data, as
// sys.pushsession does (wire.md 10.2): empty changes nothing, {} clears
// everything. When it is not a JSON object, nothing changes.
func (s *Session) Replace(all []byte) error {
	if len(bytes.TrimSpace(all)) == 0 {
		return nil
	}
	fresh := data{}
	if err := fresh.load(bytes.Clone(all)); err != nil {
		return errs.Wrap(errs.CodeInternal, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = fresh
	return nil
}

// Save brings what Set changed on a backend to the session's frontend and
// returns when that has it. Saves of one session go one after the other; what
// a failed one held goes with the next. Without changes, and on a frontend,
// there is nothing to do.
func (s *Session) Save(ctx context.Context) error {
	turn := s.saveTurn()
	if turn == nil {
		return nil
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	keys, changes, all := s.takeChanges()
	if len(keys) == 0 {
		return nil
	}
	if err := s.entity.Save(ctx, s, changes, all); err != nil {
		return err
	}
	s.settle(keys)
	return nil
}

func (s *Session) lookup(key string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.lookup(key)
}

// marshal encodes a value of the application, whose types may bring code.
func marshal(v any) (raw json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			raw, err = nil, fmt.Errorf("encoding panicked: %v", p)
		}
	}()
	return json.Marshal(v)
}

func unmarshal(raw json.RawMessage, v any, decode func([]byte, any) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoding panicked: %v", p)
		}
	}()
	return decode(raw, v)
}

// exact is json.Unmarshal that keeps all digits of a number that ends up in an
// interface.
func exact(raw []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode(v)
}
