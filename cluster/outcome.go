package cluster

import (
	"errors"

	"github.com/cereus-game/cereus/errs"
)

// errNoAnswer is the cause of a timeout that this process noticed itself. It
// does not travel, so that a callee's own timeouts are told from it.
var errNoAnswer = errors.New(errs.ErrRequestTimeout.Message)

// IsTimedOut reports whether err says that the server asked has not answered in
// time; a timeout that the server told of is an answer.
func IsTimedOut(err error) bool { return errors.Is(err, errNoAnswer) }

// IsGone reports whether err says that the server asked has no subscription:
// the call certainly did not run there, and another server should be tried.
func IsGone(err error) bool { return errors.Is(err, errNoResponders) }

// IsMoved reports whether err says that only the way to the server changed
// before the call was sent: it certainly did not run, and the same server
// should be tried again.
func IsMoved(err error) bool { return errors.Is(err, errEpochOver) }
