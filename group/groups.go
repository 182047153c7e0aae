package group

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cereus-game/cereus/session"
)

const (
	// MaxName is the largest length of a group's name, in bytes.
	MaxName = 256
	// MaxTTL is the longest life that CreateWithTTL accepts.
	MaxTTL = 100 * 365 * 24 * time.Hour
)

// Groups is the application's way to groups. All methods are safe for
// concurrent use. Names are 1 to [MaxName] bytes of printable UTF-8
// ([ErrIllegalName]), uids what session.CheckUID accepts (errs.ErrIllegalUID).
type Groups struct {
	store Store
}

// New returns the groups that store keeps.
func New(store Store) *Groups { return &Groups{store: store} }

// Create makes an empty group that lives until it is deleted. [ErrExists] when
// it is there.
func (g *Groups) Create(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return g.store.Create(ctx, name, 0)
}

// CreateWithTTL makes an empty group that ends, with its members, when ttl has
// passed since the last RenewTTL. etcd counts whole seconds: ttl is rounded up,
// and a group may live a few seconds longer. [ErrExists] when it is there.
func (g *Groups) CreateWithTTL(ctx context.Context, name string, ttl time.Duration) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if ttl <= 0 || ttl > MaxTTL {
		return ErrIllegalTTL.With("ttl", ttl.String())
	}
	return g.store.Create(ctx, name, ttl)
}

// Delete removes a group and its members. [ErrNotFound] when it is not there.
func (g *Groups) Delete(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return g.store.Delete(ctx, name)
}

// RenewTTL starts the life of a group with a ttl again. [ErrNotFound] when it
// is not there (any more), [ErrNoTTL] when it has none.
func (g *Groups) RenewTTL(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return g.store.Renew(ctx, name)
}

// Add makes uid a member. [ErrNotFound] without the group, [ErrMemberExists]
// when it is one.
func (g *Groups) Add(ctx context.Context, name, uid string) error {
	if err := check(name, uid); err != nil {
		return err
	}
	return g.store.Add(ctx, name, uid)
}

// Remove ends the membership of uid. [ErrNotFound] without the group,
// [ErrMemberNotFound] when it is no member.
func (g *Groups) Remove(ctx context.Context, name, uid string) error {
	if err := check(name, uid); err != nil {
		return err
	}
	return g.store.Remove(ctx, name, uid)
}

// RemoveAll ends all memberships and leaves the group empty. [ErrNotFound]
// without the group.
func (g *Groups) RemoveAll(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return g.store.Clear(ctx, name)
}

// Contains reports whether uid is a member. [ErrNotFound] without the group.
func (g *Groups) Contains(ctx context.Context, name, uid string) (bool, error) {
	if err := check(name, uid); err != nil {
		return false, err
	}
	return g.store.Contains(ctx, name, uid)
}

// Count is the number of members; 0, and no error, for a group that is not
// there (wire.md 12.2).
func (g *Groups) Count(ctx context.Context, name string) (int, error) {
	if err := CheckName(name); err != nil {
		return 0, err
	}
	return g.store.Count(ctx, name)
}

// Members returns the members of one moment, sorted. The slice is shared and
// must not be changed. [ErrNotFound] without the group.
func (g *Groups) Members(ctx context.Context, name string) ([]string, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	return g.store.Members(ctx, name)
}

// CheckName returns nil for a name that a group can have.
func CheckName(name string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case name == "":
		return ErrIllegalName.With("cause", "it is empty")
	case len(name) > MaxName:
		return ErrIllegalName.With("cause", fmt.Sprintf("it has %d bytes, at most %d are allowed", len(name), MaxName))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable):
		return ErrIllegalName.With("cause", "it must be printable UTF-8")
	}
	return nil
}

func check(name, uid string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return session.CheckUID(uid)
}
