package repl

import "strings"

// candidates are the words that can stand at the end of line, which is cut at
// the cursor.
func (s *session) candidates(line string) []string {
	words := strings.Fields(line)
	if len(words) == 0 || (len(words) == 1 && !strings.HasSuffix(line, " ")) {
		return commandNames()
	}
	if len(words) > 2 || (len(words) == 2 && strings.HasSuffix(line, " ")) {
		return nil
	}
	switch words[0] {
	case "request", "notify":
		return s.routes.all()
	case "wait":
		return s.pushRoutes()
	}
	return nil
}

// pushRoutes are the routes of the last pushes.
func (s *session) pushRoutes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := newRoutes()
	for _, route := range s.unseen {
		seen.add(route)
	}
	return seen.seen
}
