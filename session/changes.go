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

// writing is what one server has written under a key.
type writing struct{ key, writer string }

// Of each writing the version is remembered, of as many as writersPerKey for each
// key of the data and forgottenKeys more, for keys that were deleted.
const (
	writersPerKey = 4
	forgottenKeys = 64
)

// newerLocked reports whether the change of key counts, and notes it if so.
func (s *Session) newerLocked(key string, c Changes) bool {
	if c.Version == 0 {
		return true
	}
	w := writing{key, c.Writer}
	if s.written[w] >= c.Version {
		return false
	}
	if s.written == nil || len(s.written) > writersPerKey*len(s.data.entries)+forgottenKeys {
		s.written = make(map[writing]uint64, 1) // they must not add up: late Saves of others count again
	}
	s.written[w] = c.Version
	return true
}
