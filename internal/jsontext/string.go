package jsontext

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// StringEnd is where the string ends, its quote included, that begins at a place
// in text; the end of text when its quote is missing.
func StringEnd(text string, at int) int {
	for at++; at < len(text); at++ {
		switch text[at] {
		case '"':
			return at + 1
		case '\\':
			at++
		}
	}
	return len(text)
}

// Unquoted is what encoding/json reads from a string; "" from any other value.
func Unquoted(value string) string {
	if value == "" || value[0] != '"' {
		return ""
	}
	if strings.IndexByte(value, '\\') < 0 && utf8.ValidString(value) {
		return value[1 : len(value)-1]
	}
	var text string
	_ = json.Unmarshal([]byte(value), &text) // it is a valid string
	return text
}
