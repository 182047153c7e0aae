package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/cereus-game/cereus/errs"
)

// ErrNotSet is returned by [Key.Get] when the session has no value for the key.
var ErrNotSet = errors.New("session has no value for the key")

// Key is a key of session data whose values have the type T. Make one per key
// as a package-level variable: var level = session.NewKey[int]("level").
type Key[T any] struct {
	name  string
	plain bool // T cannot hold a number of unknown type
}

// NewKey returns the typed form of the key name.
func NewKey[T any](name string) Key[T] {
	kind := reflect.TypeFor[T]().Kind()
	return Key[T]{name: name, plain: kind <= reflect.Float64 || kind == reflect.String}
}

// Get returns the value in s: [ErrNotSet] when there is none, another error
// when what is there, perhaps set by another server, does not convert to T.
// Integers keep all their digits.
func (k Key[T]) Get(s *Session) (T, error) {
	var v T
	raw := s.lookup(k.name)
	if isNull(raw) {
		return v, fmt.Errorf("%w %q", ErrNotSet, k.name)
	}
	decode := exact
	if k.plain {
		decode = json.Unmarshal // exact too, and five times as fast
	}
	if err := unmarshal(raw, &v, decode); err != nil {
		var zero T
		return zero, errs.Wrap(errs.CodeInternal, fmt.Errorf("session data %q: %w", k.name, err))
	}
	return v, nil
}

// Or is Get with fallback where there is no value.
func (k Key[T]) Or(s *Session, fallback T) (T, error) {
	v, err := k.Get(s)
	if errors.Is(err, ErrNotSet) {
		return fallback, nil
	}
	return v, err
}

// Set stores v, as Session.Set does.
func (k Key[T]) Set(s *Session, v T) error { return s.Set(k.name, v) }
