package group

import (
	"context"
	"time"
)

// Directory keeps which groups there are. Every method fails with
// [ErrNotFound] for a group that is not there, except Create.
type Directory interface {
	// Create adds an empty group, or fails with ErrExists. A ttl above zero makes
	// it end, with its members, that long after the last Renew.
	Create(ctx context.Context, name string, ttl time.Duration) error
	// Delete removes the group and its members.
	Delete(ctx context.Context, name string) error
	// Clear removes the members.
	Clear(ctx context.Context, name string) error
	// Renew starts the ttl again, or fails with ErrNoTTL.
	Renew(ctx context.Context, name string) error
}

// Roster keeps who is in a group. Every method fails with [ErrNotFound] for a
// group that is not there, except Count.
type Roster interface {
	// Add makes m a member, or fails with ErrMemberExists, and with ErrServerGone
	// when the holder is not there. When both the member that exists and m are held,
	// the hold becomes that of m; nothing else of the member does.
	Add(ctx context.Context, name string, m Member) error
	// Remove ends a membership, or fails with ErrMemberNotFound.
	Remove(ctx context.Context, name, uid string) error
	// Contains reports whether uid is a member.
	Contains(ctx context.Context, name, uid string) (bool, error)
	// Count is the number of members, 0 for a group that is not there.
	Count(ctx context.Context, name string) (int, error)
	// Members returns the members of one moment, sorted. Nobody may change the
	// slice.
	Members(ctx context.Context, name string) ([]string, error)
}

// Profiles keeps what is known of members.
type Profiles interface {
	// List is Roster.Members with all that is known of them.
	List(ctx context.Context, name string) ([]Member, error)
	// SetAttributes replaces a member's attributes, or fails with ErrNotFound or
	// ErrMemberNotFound.
	SetAttributes(ctx context.Context, name, uid string, attributes map[string]string) error
	// Leave ends the membership if its hold is still the one that Sink.Held told;
	// otherwise it does nothing.
	Leave(ctx context.Context, name, uid string, hold int64) error
}

// Runner is the part of a store that is at work between operations.
type Runner interface {
	// Start begins to hold members for this process, and to tell sink what it has
	// to know. It waits for the store, bounded by ctx.
	Start(ctx context.Context, sink Sink) error
	// Follow begins to tell Sink.Change; when it returns nil every later change
	// will be told. It may be called again.
	Follow(ctx context.Context) error
	// Stop ends what Start and Follow began, and with it the memberships that this
	// process holds. It may be called again.
	Stop(ctx context.Context) error
}

// Sink is whom a started store tells things, in order, not at the same time,
// and never waiting long.
type Sink struct {
	// Change tells what happened to memberships, as [Groups.Watch] has it.
	Change func(c Change)
	// Held tells that this process holds a member until the unbind, Released that
	// it does not any more. hold names this hold, for Profiles.Leave.
	Held     func(name, uid string, hold int64)
	Released func(name, uid string)
}

// Store keeps groups. Names, uids and attributes that it gets were checked. It
// is safe for concurrent use, and what it acknowledged holds.
type Store interface {
	Directory
	Roster
	Profiles
	Runner
}
