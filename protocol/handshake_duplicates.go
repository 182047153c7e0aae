package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode"
)

// jsonFrame is one open object or array while looking for duplicate keys.
type jsonFrame struct {
	keys   map[string]struct{} // nil in an array
	folded bool                // keys match in any case here
	key    string              // the current one; "" when a key is expected
	value  bool                // a value is expected next (objects)
}

// checkDuplicates fails when an object in b has a key twice. At the top and in
// sys, where keys match in any case, so do duplicates. b is valid JSON.
func checkDuplicates(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // an absurd number under an unknown key is no fault
	var open []jsonFrame
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			open = append(open, newFrame(open, token == json.Delim('{')))
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if key, ok := expectedKey(open, token); ok {
				if !open[len(open)-1].see(key) {
					return ErrDuplicateKey
				}
				continue
			}
		}
		if len(open) > 0 { // a value ended
			open[len(open)-1].value = false
		}
	}
}

func newFrame(open []jsonFrame, object bool) jsonFrame {
	if !object {
		return jsonFrame{}
	}
	top := len(open) == 0
	sys := len(open) == 1 && open[0].key == "sys"
	return jsonFrame{keys: make(map[string]struct{}), folded: top || sys}
}

// expectedKey reports whether the token is a key of the innermost object.
func expectedKey(open []jsonFrame, token json.Token) (string, bool) {
	if len(open) == 0 {
		return "", false
	}
	f := &open[len(open)-1]
	if f.keys == nil || f.value {
		return "", false
	}
	key, ok := token.(string)
	return key, ok
}

// see notes a key and reports whether it is new.
func (f *jsonFrame) see(key string) bool {
	if f.folded {
		key = strings.Map(foldRune, key)
	}
	f.key, f.value = key, true
	_, seen := f.keys[key]
	f.keys[key] = struct{}{}
	return !seen
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
