package group

import (
	"fmt"
	"maps"
	"unicode/utf8"
)

const (
	// MaxAttributes is how many attributes a member can have.
	MaxAttributes = 16
	// MaxAttributeBytes bounds the names and values of a member's attributes together.
	MaxAttributeBytes = 1024
)

// Member is one user in a group.
type Member struct {
	UID string
	// Attributes say something of the member in this group: a team, a rank. They
	// are shared and must not be changed.
	Attributes map[string]string
	// Holder is the server that the membership ends with; zero when it stays.
	Holder Holder
	// UntilUnbind tells that the membership also ends when the user is not bound to
	// a session on Holder any more.
	UntilUnbind bool
}

// Holder is one run of a server: cluster.Server's ID and Nonce. App.GroupHolder
// has that of a session's frontend.
type Holder struct{ Server, Run string }

// AddOption says more about a member that is added.
type AddOption func(m *Member)

// WithAttributes gives the member attributes: at most [MaxAttributes], of
// together [MaxAttributeBytes], UTF-8 and with names.
func WithAttributes(attributes map[string]string) AddOption {
	return func(m *Member) { m.Attributes = maps.Clone(attributes) }
}

// HeldBy ends the membership with the server: at once when it stops, and at most
// its TTL and 1.5 s after it died.
func HeldBy(h Holder) AddOption { return func(m *Member) { m.Holder, m.UntilUnbind = h, false } }

// UntilUnbind is HeldBy, and ends the membership also when the user is not bound
// to a session on that server, be it already at the Add. Groups in memory know
// only the sessions of their own process.
func UntilUnbind(h Holder) AddOption { return func(m *Member) { m.Holder, m.UntilUnbind = h, true } }

func (m Member) held() bool { return m.Holder != Holder{} }

// checkAttributes returns nil for what a member can have.
func checkAttributes(attributes map[string]string) error {
	if len(attributes) > MaxAttributes {
		return ErrIllegalAttributes.With("cause", fmt.Sprintf("there are %d, at most %d are allowed", len(attributes), MaxAttributes))
	}
	size := 0
	for name, value := range attributes {
		size += len(name) + len(value)
		if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return ErrIllegalAttributes.With("cause", "names must not be empty, and all must be UTF-8")
		}
	}
	if size > MaxAttributeBytes {
		return ErrIllegalAttributes.With("cause", fmt.Sprintf("they have %d bytes, at most %d are allowed", size, MaxAttributeBytes))
	}
	return nil
}
