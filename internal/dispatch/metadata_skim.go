package dispatch

import (
	"encoding/json"
	"strings"

	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/internal/jsontext"
)

// skimmed are the well-known values as they came, as JSON; "" if they did not.
type skimmed struct{ requestID, startTime, timeout, hops string }

// skim reads the well-known members of an object, which is valid JSON, and steps
// over all others: a Pitaya caller always sends some that nobody here asks for.
func skim(object string) (metadata, error) {
	var s skimmed
	var m metadata
	rest := skipSpace(skipSpace(object)[1:])
	for rest != "" && rest[0] != '}' {
		var key, value string
		key, rest = cutValue(rest)
		value, rest = cutValue(skipMark(rest, ':'))
		if !s.set(jsontext.Unquoted(key), value) && m.others == nil {
			m.others = &others{object: object}
		}
		rest = skipMark(rest, ',')
	}
	err := s.finish(&m)
	return m, err
}

// set stores the value of a well-known key and reports false for a key that
// must pass through. Of a key that comes twice the last one counts.
func (s *skimmed) set(key, value string) bool {
	switch key {
	case constants.PeerIDKey, constants.PeerServiceKey, constants.RouteKey: // replaced at every hop
	case constants.RequestIDKey:
		s.requestID = value
	case constants.TimeoutKey:
		s.timeout = value
	case constants.StartTimeKey:
		s.startTime = value
	case constants.HopsKey:
		s.hops = value
	default:
		return false
	}
	return true
}

// wellKnown reports whether key is one of those that every hop reads or replaces.
func wellKnown(key string) bool { return new(skimmed).set(key, "") }

func (s *skimmed) finish(m *metadata) error {
	m.requestID = jsontext.Unquoted(s.requestID) // a wrong type counts as missing (wire.md 9.3)
	m.startTime = s.startTime
	m.hops = hopsOf(s.hops)
	if s.timeout == "" {
		return nil
	}
	if s.timeout[0] != '"' {
		var text string
		if err := json.Unmarshal([]byte(s.timeout), &text); err != nil { // what is no text, but null
			return errs.Wrap(errs.CodeUnavailable, err)
		}
	}
	var err error
	m.timeout, err = timeoutOf([]byte(jsontext.Unquoted(s.timeout)))
	return err
}

// skipMark steps over a colon, or a comma if there is one, and the space around it.
func skipMark(in string, mark byte) string {
	in = skipSpace(in)
	if in != "" && in[0] == mark {
		in = skipSpace(in[1:])
	}
	return in
}

// skipSpace steps over the space of JSON.
func skipSpace(in string) string { return strings.TrimLeft(in, " \t\r\n") }

// cutValue cuts off the value, or key, that valid JSON begins with.
func cutValue(in string) (value, rest string) {
	depth := 0
	for i := 0; i < len(in); i++ {
		switch in[i] {
		case '"':
			i = jsontext.StringEnd(in, i) - 1
		case '{', '[':
			depth++
		case '}', ']', ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return in[:i], in[i:]
			}
			if in[i] == '}' || in[i] == ']' {
				depth--
			}
		}
	}
	return in, ""
}
