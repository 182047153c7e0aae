package session

// Changes are what a backend's Save brings to the frontend.
type Changes struct {
	// Object is a JSON object whose keys are set, or deleted when null. Empty
	// changes nothing.
	Object []byte
	// Writer is the run of the server that made the changes, and Version rises with
	// every Save there. Version 0 is newer than everything.
	Writer  string
	Version uint64
}

// writing is the last Save that changed a key.
type writing struct {
	writer  string
	version uint64
}

// forgottenKeys is how many keys more than the data has are remembered, for
// those that were deleted.
const forgottenKeys = 64

// newerLocked reports whether the change of key counts, and notes it if so.
func (s *Session) newerLocked(key string, c Changes) bool {
	if c.Version == 0 {
		delete(s.written, key)
		return true
	}
	if last := s.written[key]; last.writer == c.Writer && last.version > c.Version {
		return false
	}
	if s.written == nil || len(s.written) > len(s.data.entries)+forgottenKeys {
		s.written = make(map[string]writing, 1) // deleted keys must not add up: late Saves of others count again
	}
	s.written[key] = writing{c.Writer, c.Version}
	return true
}
