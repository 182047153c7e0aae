package group

import "github.com/cereus-game/cereus/errs"

// The errors of groups; errors.Is knows them on both sides of a call.
var (
	// ErrExists: Create of a group that is there.
	ErrExists = errs.New(errs.CodeConflict, "group already exists")
	// ErrNotFound: the group was never made, was deleted, or its ttl ran out.
	ErrNotFound = errs.New(errs.CodeNotFound, "group not found")
	// ErrMemberExists: Add of a member.
	ErrMemberExists = errs.New(errs.CodeConflict, "member already exists in group")
	// ErrMemberNotFound: Remove of someone who is not a member.
	ErrMemberNotFound = errs.New(errs.CodeNotFound, "member not found in the group")
	// ErrNoTTL: RenewTTL of a group that was made without one.
	ErrNoTTL = errs.New(errs.CodeBadRequest, "group has no ttl")
	// ErrIllegalTTL: a ttl that is not above zero, or above MaxTTL.
	ErrIllegalTTL = errs.New(errs.CodeBadRequest, "illegal ttl")
	// ErrIllegalName: the name is empty, too long or not printable UTF-8.
	ErrIllegalName = errs.New(errs.CodeBadRequest, "illegal group name")
	// ErrIllegalAttributes: too many or too long, or not UTF-8.
	ErrIllegalAttributes = errs.New(errs.CodeBadRequest, "illegal attributes of a member")
	// ErrServerGone: Add of a member for a server that died, stopped, or does not
	// keep its groups in this store.
	ErrServerGone = errs.New(errs.CodeConflict, "the server that is to hold the member is not there")
	// ErrNotHere: UntilUnbind for another server, with groups in memory.
	ErrNotHere = errs.New(errs.CodeBadRequest, "groups in memory know the sessions of their own server only: use groups.store etcd or jetstream")
	// ErrFull: the group is larger than one NATS message (groups in JetStream).
	ErrFull = errs.New(errs.CodeTooLarge, "group is full")
	// ErrNotRunning: of what needs a started store, before Init and after Shutdown.
	ErrNotRunning = errs.New(errs.CodeUnavailable, "groups are not running: those of an app do from its start on, others from Init on")
)
