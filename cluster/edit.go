package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
)

// ErrRevision is returned for an Edit with IfRevision when the server was
// changed since. Read the server again, and decide again.
var ErrRevision = errors.New("the server was changed since that revision")

// ErrInvalidEdit is returned for an Edit that cannot be made of any server, or makes
// this one's value too big; the error says what is wrong with it.
var ErrInvalidEdit = errors.New("the edit is not valid")

// ErrUnfit is returned for what cannot be asked of a server, because it is one of
// Pitaya's, of another version, or not in the state for it; the error says which.
var ErrUnfit = errors.New("the server is not fit for that")

// MaxWeight bounds the weight of a server.
const MaxWeight = 10_000

// Edit is a change of what a server says of itself. What it does not name stays
// as it is, so that edits of different facts by different people do not undo
// each other.
type Edit struct {
	// State is StateUp, StateBusy, StateDraining or StatePaused; "" stays.
	State State
	// Weight is 0 to MaxWeight, see Server.Weight; nil stays.
	Weight *int
	// Metadata has the keys to set, and with a nil value those to delete.
	Metadata map[string]*string
	// IfRevision makes the edit only when Server.Revision is still that; 0 does not ask.
	IfRevision int64
}

// validate checks what can be said without knowing the server.
func (e Edit) validate() error {
	var faults []error
	switch e.State {
	case "", StateUp, StateBusy, StateDraining, StatePaused:
	default:
		faults = append(faults, fmt.Errorf("state %q: use up, busy, draining or paused", e.State))
	}
	if e.Weight != nil && (*e.Weight < 0 || *e.Weight > MaxWeight) {
		faults = append(faults, fmt.Errorf("weight %d: use 0 to %d", *e.Weight, MaxWeight))
	}
	if e.IfRevision < 0 {
		faults = append(faults, fmt.Errorf("revision %d: use Server.Revision, or 0 to edit whatever there is", e.IfRevision))
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: %w", ErrInvalidEdit, errors.Join(faults...))
	}
	return nil
}

// empty reports whether the edit changes nothing.
func (e Edit) empty() bool { return e.State == "" && e.Weight == nil && len(e.Metadata) == 0 }

// of is the server after the edit.
func (e Edit) of(s *Server) *Server {
	if e.empty() {
		return s
	}
	next := s.clone()
	next.State = cmp.Or(e.State, next.State)
	if e.Weight != nil {
		next.Weight = *e.Weight
	}
	for key, value := range e.Metadata {
		if value == nil {
			delete(next.Metadata, key)
			continue
		}
		next.Metadata[key] = *value
	}
	return next
}

// clone is a copy that shares nothing with e.
func (e Edit) clone() Edit {
	if e.Weight != nil {
		e.Weight = new(*e.Weight)
	}
	e.Metadata = maps.Clone(e.Metadata)
	for key, value := range e.Metadata {
		if value != nil {
			e.Metadata[key] = new(*value)
		}
	}
	return e
}

// then is the one edit that does what e and after it later do.
func (e Edit) then(later Edit) Edit {
	both := Edit{State: cmp.Or(later.State, e.State), Weight: cmp.Or(later.Weight, e.Weight)}
	if len(e.Metadata)+len(later.Metadata) > 0 {
		both.Metadata = make(map[string]*string, len(e.Metadata)+len(later.Metadata))
		maps.Copy(both.Metadata, e.Metadata)
		maps.Copy(both.Metadata, later.Metadata)
	}
	return both
}
