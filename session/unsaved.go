package session

import "maps"

// unsaved remembers what a backend changed and its frontend has not got yet.
type unsaved struct {
	keys map[string]uint64 // changed keys, with the number of their last change
	last uint64
	turn chan struct{} // holds one token: the Save that runs
}

// markUnsaved notes a change. s.mu is held.
func (s *Session) markUnsaved(key string) {
	if s.unsaved == nil {
		s.unsaved = &unsaved{keys: make(map[string]uint64), turn: make(chan struct{}, 1)}
	}
	s.unsaved.last++
	s.unsaved.keys[key] = s.unsaved.last
}

func (s *Session) saveTurn() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsaved == nil {
		return nil
	}
	return s.unsaved.turn
}

// takeChanges returns the changed keys, their values and all data, of one
// moment. The changes stay noted until settle.
func (s *Session) takeChanges() (keys map[string]uint64, changes, all []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys = maps.Clone(s.unsaved.keys)
	changed := data{parsed: true}
	for key := range keys {
		changed.note(key, s.data.lookup(key))
	}
	return keys, changed.bytes(), s.data.bytes()
}

// settle forgets the changes that were saved, unless a key changed again.
func (s *Session) settle(saved map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.unsaved.keys, func(key string, number uint64) bool { return saved[key] == number })
}
