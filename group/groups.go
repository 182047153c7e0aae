package group

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sirupsen/logrus"

	"github.com/cereus-game/cereus/internal/lifecycle"
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
//
// Groups are a module of an app: App.Groups are started by the app. Others are
// registered with RegisterModule, or started with Init and ended with Shutdown.
// What [HeldBy], [UntilUnbind] and Watch do, and all that a store in JetStream
// does, needs that.
type Groups struct {
	at     atomic.Pointer[opened] // nil before the store is there
	open   Opener
	feed   feed
	leaver *leaver
	work   atomic.Pointer[lifecycle.Group] // nil before Init
}

// Option is a choice made for new Groups.
type Option func(g *Groups)

// WithBound has [UntilUnbind] ask bound whether a user has a session on this
// server. Without it nobody has. bound must be quick.
func WithBound(bound func(uid string) bool) Option {
	return func(g *Groups) { g.leaver.bound = bound }
}

// WithLogger sets where panics of listeners, and failures that are tried again,
// are logged.
func WithLogger(log logrus.FieldLogger) Option {
	return func(g *Groups) { g.feed.log, g.leaver.log = log, log }
}

// New returns the groups that store keeps.
func New(store Store, opts ...Option) *Groups {
	g := NewLater(func(context.Context) (Store, func() error, error) {
		return store, func() error { return nil }, nil
	}, opts...)
	g.use(store, nil)
	return g
}

// Opener makes a store, and what is to be called after its Stop.
type Opener func(ctx context.Context) (store Store, done func() error, err error)

// NewLater returns groups whose store is made by Init; before that everything
// fails with [ErrNotRunning].
func NewLater(open Opener, opts ...Option) *Groups {
	g := &Groups{open: open, leaver: newLeaver()}
	for _, opt := range opts {
		opt(g)
	}
	return g
}

// opened is the store, and what is to be called after its Stop; nil for nothing.
type opened struct {
	store Store
	done  func() error
}

func (g *Groups) use(store Store, done func() error) {
	g.leaver.store.Store(&opened{store: store})
	g.at.Store(&opened{store: store, done: done})
}

// store is the store after check returned nil.
func (g *Groups) store() Store { return g.at.Load().store }

// check returns nil when there is a store, which can have a group of that name.
func (g *Groups) check(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if g.at.Load() == nil {
		return ErrNotRunning
	}
	return nil
}

// Unbound is to be called when a user lost a session on this server: the
// memberships that were added with [UntilUnbind] end soon, unless WithBound says
// that the user has another one. It does not wait.
func (g *Groups) Unbound(uid string) { g.leaver.unbound(uid) }

// Create makes an empty group that lives until it is deleted. [ErrExists] when
// it is there.
func (g *Groups) Create(ctx context.Context, name string) error {
	if err := g.check(name); err != nil {
		return err
	}
	return g.store().Create(ctx, name, 0)
}

// CreateWithTTL makes an empty group that ends, with its members, when ttl has
// passed since the last RenewTTL. etcd counts whole seconds: ttl is rounded up,
// and a group may live a few seconds longer. [ErrExists] when it is there.
func (g *Groups) CreateWithTTL(ctx context.Context, name string, ttl time.Duration) error {
	if err := g.check(name); err != nil {
		return err
	}
	if ttl <= 0 || ttl > MaxTTL {
		return ErrIllegalTTL.With("ttl", ttl.String())
	}
	return g.store().Create(ctx, name, ttl)
}

// Delete removes a group and its members. [ErrNotFound] when it is not there.
func (g *Groups) Delete(ctx context.Context, name string) error {
	if err := g.check(name); err != nil {
		return err
	}
	return g.store().Delete(ctx, name)
}

// RenewTTL starts the life of a group with a ttl again. [ErrNotFound] when it
// is not there (any more), [ErrNoTTL] when it has none.
func (g *Groups) RenewTTL(ctx context.Context, name string) error {
	if err := g.check(name); err != nil {
		return err
	}
	return g.store().Renew(ctx, name)
}

// Add makes uid a member. [ErrNotFound] without the group, [ErrMemberExists]
// when it is one: then it stays as it is, except that a member who is held by a
// server, and is added as held, is held from now on as this Add says (the user
// may have come back elsewhere). [ErrServerGone] when the server that is to hold
// it is not there. When the ttl of the group runs out meanwhile, the Add was
// either before that or fails.
func (g *Groups) Add(ctx context.Context, name, uid string, opts ...AddOption) error {
	if err := g.checkMember(name, uid); err != nil {
		return err
	}
	m := Member{UID: uid}
	for _, opt := range opts {
		opt(&m)
	}
	if err := checkAttributes(m.Attributes); err != nil {
		return err
	}
	if m.UntilUnbind && !m.held() {
		return ErrServerGone.With("cause", "the holder is empty")
	}
	return g.store().Add(ctx, name, m)
}

// SetAttributes replaces the attributes of a member, see [WithAttributes]; nil
// takes them away. [ErrNotFound] without the group, [ErrMemberNotFound] when uid
// is no member.
func (g *Groups) SetAttributes(ctx context.Context, name, uid string, attributes map[string]string) error {
	if err := g.checkMember(name, uid); err != nil {
		return err
	}
	if err := checkAttributes(attributes); err != nil {
		return err
	}
	return g.store().SetAttributes(ctx, name, uid, maps.Clone(attributes))
}

// Remove ends the membership of uid. [ErrNotFound] without the group,
// [ErrMemberNotFound] when it is no member.
func (g *Groups) Remove(ctx context.Context, name, uid string) error {
	if err := g.checkMember(name, uid); err != nil {
		return err
	}
	return g.store().Remove(ctx, name, uid)
}

// RemoveAll ends all memberships and leaves the group empty. [ErrNotFound]
// without the group.
func (g *Groups) RemoveAll(ctx context.Context, name string) error {
	if err := g.check(name); err != nil {
		return err
	}
	return g.store().Clear(ctx, name)
}

// Contains reports whether uid is a member. [ErrNotFound] without the group.
func (g *Groups) Contains(ctx context.Context, name, uid string) (bool, error) {
	if err := g.checkMember(name, uid); err != nil {
		return false, err
	}
	return g.store().Contains(ctx, name, uid)
}

// Count is the number of members; 0, and no error, for a group that is not
// there (wire.md 12.2).
func (g *Groups) Count(ctx context.Context, name string) (int, error) {
	if err := g.check(name); err != nil {
		return 0, err
	}
	return g.store().Count(ctx, name)
}

// Members returns the members of one moment, sorted. The slice is shared and
// must not be changed. [ErrNotFound] without the group.
func (g *Groups) Members(ctx context.Context, name string) ([]string, error) {
	if err := g.check(name); err != nil {
		return nil, err
	}
	return g.store().Members(ctx, name)
}

// List returns the members of one moment with their attributes and holders,
// sorted by uid. It is shared and must not be changed. [ErrNotFound] without the
// group.
func (g *Groups) List(ctx context.Context, name string) ([]Member, error) {
	if err := g.check(name); err != nil {
		return nil, err
	}
	return g.store().List(ctx, name)
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

func (g *Groups) checkMember(name, uid string) error {
	if err := g.check(name); err != nil {
		return err
	}
	return session.CheckUID(uid)
}
