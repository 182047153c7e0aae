package session

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// exactDigits is how many bytes a number may have whose float64 is looked at.
const exactDigits = 15

// Has reports whether the session's data has the JSON value under key; null is
// for a key that is not there. Texts and numbers are compared by what they mean,
// as 1.0 and 1, and objects and arrays byte by byte.
func (s *Session) Has(key string, value json.RawMessage) bool {
	have := s.lookup(key)
	if len(have) == 0 {
		return string(value) == "null"
	}
	return string(have) == string(value) || sameText(have, value) || sameNumber(have, value)
}

func sameText(a, b json.RawMessage) bool {
	switch {
	case len(a) == 0 || len(b) == 0 || a[0] != '"' || b[0] != '"':
		return false
	case bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0:
		return false // other bytes mean another text, and a broadcast asks every session
	}
	var x, y string
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

// sameNumber leaves numbers that a float64 may round to their digits.
func sameNumber(a, b json.RawMessage) bool {
	if len(a) > exactDigits || len(b) > exactDigits {
		return false
	}
	x, err := strconv.ParseFloat(string(a), 64)
	if err != nil {
		return false
	}
	y, err := strconv.ParseFloat(string(b), 64)
	return err == nil && x == y
}
