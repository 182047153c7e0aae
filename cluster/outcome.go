package cluster

import (
	"errors"

	"github.com/cereus-game/cereus/errs"
)

// errNoAnswer is the cause of a timeout that this process noticed itself. It
// does not travel, so that a callee's own timeouts are told from it.
var errNoAnswer = errors.New(errs.ErrRequestTimeout.Message)

// cancelledError is why the context of a call was cancelled. Often that is how
// another call ended, as in an errgroup: this one may have run nevertheless.
type cancelledError struct{ cause error }

func (e *cancelledError) Error() string { return e.cause.Error() }
func (e *cancelledError) Unwrap() error { return e.cause }

// isCancelled reports whether what else err wraps is not the outcome of its call.
func isCancelled(err error) bool {
	_, ok := errors.AsType[*cancelledError](err)
	return ok
}

// IsTimedOut reports whether err says that the server asked has not answered in
// time; a timeout that the server told of is an answer.
func IsTimedOut(err error) bool { return errors.Is(err, errNoAnswer) && !isCancelled(err) }

// IsGone reports whether err says that the server asked has no subscription:
// the call certainly did not run there, and another server should be tried.
func IsGone(err error) bool { return errors.Is(err, errNoResponders) && !isCancelled(err) }

// IsMoved reports whether err says that only the way to the server changed
// before the call was sent: it certainly did not run, and the same server
// should be tried again.
func IsMoved(err error) bool { return errors.Is(err, errEpochOver) && !isCancelled(err) }
