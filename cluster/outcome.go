package cluster

import "errors"

// IsGone reports whether err says that the server asked has no subscription:
// the call certainly did not run there, and another server should be tried.
func IsGone(err error) bool { return errors.Is(err, errNoResponders) }

// IsMoved reports whether err says that only the way to the server changed
// before the call was sent: it certainly did not run, and the same server
// should be tried again.
func IsMoved(err error) bool { return errors.Is(err, errEpochOver) }
