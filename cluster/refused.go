package cluster

import (
	"errors"

	"github.com/cereus-game/cereus/errs"
)

// refusedError is what a callee answered without having begun. It holds for one
// hop: a callee that passes on what another one refused has itself begun.
type refusedError struct{ err *errs.Error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// IsRefused reports whether err is the answer of a server that did not begin
// with the call: it was too busy, came too late, or could not make anything of
// it. Sending it elsewhere cannot run it twice. Only servers of this framework
// say so.
func IsRefused(err error) bool {
	_, ok := errors.AsType[*refusedError](err)
	return ok
}
