package protocol

import (
	"strings"
	"unicode"

	"github.com/cereus-game/cereus/internal/jsontext"
)

// jsonKey is a key of one of the objects in a text.
type jsonKey struct {
	object int // its place in the text
	name   string
}

// jsonFrame is one open object or array while looking for duplicate keys.
type jsonFrame struct {
	at     int    // its place in the text
	folded bool   // keys match in any case here
	key    string // the last one
}

// checkDuplicates fails when an object in b has a key twice. At the top and in
// sys, where keys match in any case, so do duplicates. b is valid JSON.
func checkDuplicates(b []byte) error {
	text := string(b)
	seen := make(map[jsonKey]struct{})
	var open []jsonFrame
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '{', '[':
			top := len(open) == 0
			sys := len(open) == 1 && open[0].key == "sys"
			open = append(open, jsonFrame{at: at, folded: top || sys})
		case '}', ']':
			open = open[:len(open)-1]
		case '"':
			end := jsontext.StringEnd(text, at)
			if isKey(text[end:]) && !open[len(open)-1].see(seen, jsontext.Unquoted(text[at:end])) {
				return ErrDuplicateKey
			}
			at = end - 1
		}
	}
	return nil
}

// isKey reports whether the string before rest is a key.
func isKey(rest string) bool { return strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), ":") }

// see notes a key and reports whether it is new.
func (f *jsonFrame) see(seen map[jsonKey]struct{}, name string) bool {
	if f.folded {
		name = strings.Map(foldRune, name)
	}
	f.key = name
	key := jsonKey{f.at, name}
	_, again := seen[key]
	seen[key] = struct{}{}
	return !again
}

// foldRune maps all runes that encoding/json takes for the same letter to one,
// lower case for ASCII letters.
func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}
