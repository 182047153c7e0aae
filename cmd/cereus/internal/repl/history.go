package repl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxHistory is how many lines the history file keeps.
const maxHistory = 1000

// DefaultHistoryFile is in the user's cache folder; "" when there is none.
func DefaultHistoryFile() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "cereus", "repl_history")
}

// history is the lines that were typed, the oldest first, in memory and in a
// file that only the user can read: payloads may hold secrets.
type history struct {
	file  string // "" for memory only
	lines []string
}

// openHistory reads the file; one that is not there is empty.
func openHistory(file string) *history {
	h := &history{file: file}
	if file == "" {
		return h
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return h
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" {
			h.lines = append(h.lines, line)
		}
	}
	h.lines = h.lines[max(0, len(h.lines)-maxHistory):]
	return h
}

// Write adds a line and returns how many there are.
func (h *history) Write(line string) (int, error) {
	line = strings.TrimSpace(strings.ReplaceAll(line, "\n", " "))
	if line == "" {
		return len(h.lines), nil
	}
	h.lines = append(h.lines, line)
	h.lines = h.lines[max(0, len(h.lines)-maxHistory):]
	return len(h.lines), h.save()
}

func (h *history) save() error {
	if h.file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(h.file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
}

// GetLine returns line pos, the oldest being 0. The name is readline's.
func (h *history) GetLine(pos int) (string, error) {
	if pos < 0 || pos >= len(h.lines) {
		return "", fmt.Errorf("the history has no line %d", pos)
	}
	return h.lines[pos], nil
}

// Len is the number of lines.
func (h *history) Len() int { return len(h.lines) }

// Dump returns all lines.
func (h *history) Dump() any { return h.lines }

// routes are those that were typed.
func (h *history) routes() []string {
	var all []string
	for _, line := range h.lines {
		verb, rest := cut(line)
		if route, _ := cut(rest); route != "" && (verb == "request" || verb == "notify") {
			all = append(all, route)
		}
	}
	return all
}
