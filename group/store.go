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
	// Add makes uid a member, or fails with ErrMemberExists.
	Add(ctx context.Context, name, uid string) error
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

// Store keeps groups. Names and uids that it gets were checked. It is safe for
// concurrent use, and what it acknowledged holds.
type Store interface {
	Directory
	Roster
}
