package session

import "slices"

// Policy says how many sessions a user may have on one frontend. The zero value
// is one: the newest has the uid.
type Policy struct {
	// PerUser is the most sessions of a uid; a further one takes the place of the
	// oldest. 0 and 1 mean one.
	PerUser int
	// Device is a key of the handshake's user data (see Attribute) whose value names
	// the client's device: a user then has one session per device, of at most
	// PerUser devices. Clients that do not tell are one device. "" means that
	// devices do not count.
	Device string
}

// several reports whether a uid can have more than one session.
func (p Policy) several() bool { return p.PerUser > 1 }

// device names the device of s.
func (p Policy) device(s *Session) string {
	if p.Device == "" || s.handshake == nil {
		return ""
	}
	name, _ := s.handshake.User[p.Device].(string) // another type is no name
	return name
}

// seats are the sessions of one uid. A user who may have one costs no more than
// the pointer to it.
type seats struct {
	newest *Session
	older  []*Session // in the order of their binds; never changed in place
}

// add makes s the newest, and returns those that have to go.
func (p Policy) add(was seats, s *Session) (now, gone seats) {
	if !p.several() {
		return seats{newest: s}, was
	}
	stays := was.all()
	if p.Device != "" {
		device := p.device(s)
		stays = slices.DeleteFunc(stays, func(other *Session) bool {
			same := p.device(other) == device
			if same {
				gone.older = append(gone.older, other)
			}
			return same
		})
	}
	if most := p.PerUser - 1; len(stays) > most {
		n := len(stays) - most
		gone.older = append(gone.older, stays[:n]...)
		stays = stays[n:]
	}
	return seats{newest: s, older: stays}, gone
}

// all is a copy.
func (t seats) all() []*Session {
	if t.newest == nil {
		return nil
	}
	return append(slices.Clone(t.older), t.newest)
}

// without takes s out, and reports whether it was there.
func (t seats) without(s *Session) (seats, bool) {
	if t.newest == s {
		if n := len(t.older); n > 0 {
			return seats{newest: t.older[n-1], older: slices.Clone(t.older[:n-1])}, true
		}
		return seats{}, true
	}
	i := slices.Index(t.older, s)
	if i < 0 {
		return t, false
	}
	return seats{newest: t.newest, older: slices.Delete(slices.Clone(t.older), i, i+1)}, true
}

// each calls fn for every one.
func (t seats) each(fn func(*Session)) {
	for _, s := range t.older {
		fn(s)
	}
	if t.newest != nil {
		fn(t.newest)
	}
}
