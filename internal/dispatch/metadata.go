package dispatch

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nuid"

	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

// metadata is the context of a call as it travels (wire.md 9.3): a JSON object
// whose well-known keys are read once and whose other keys pass through, unread
// as long as nobody asks for them.
type metadata struct {
	requestID string
	startTime string        // the JSON number as received
	began     int64         // instead of startTime, of a call that begins here: Unix time in nanoseconds; 0: none
	timeout   time.Duration // 0: none was given
	hops      int           // servers that the tree of calls went through before this one
	others    *others       // nil: none
}

// parseMetadata reads what a caller sent. Its errors are those of wire.md 9.3
// and 9.5, all PIT-500.
func parseMetadata(b []byte) (metadata, error) {
	if len(b) == 0 {
		return metadata{}, errs.ErrNoContext
	}
	if s, ok := scanMetadata(b); ok {
		return s.finish()
	}
	text := string(b) // the buffer is not ours
	if json.Valid(b) && skipSpace(text)[0] == '{' {
		return skim(text)
	}
	return metadata{}, noObject(b)
}

// noObject says what is wrong with b, in the words of the reference.
func noObject(b []byte) error {
	var generic map[string]any
	if err := json.Unmarshal(b, &generic); err != nil {
		return errs.Wrap(errs.CodeUnavailable, err)
	}
	return errs.ErrNoContext // null
}

// scanned is what scanMetadata saw: parts of the bytes it looked at, until finish.
type scanned struct {
	hops                          int
	requestID, startTime, timeout []byte
	hasTimeout                    bool
}

// finish returns what is kept, both texts in one allocation.
func (s *scanned) finish() (metadata, error) {
	m := metadata{hops: s.hops}
	var room [64]byte
	both, n := string(append(append(room[:0], s.requestID...), s.startTime...)), len(s.requestID)
	m.requestID, m.startTime = both[:n], both[n:]
	if !s.hasTimeout {
		return m, nil
	}
	var err error
	m.timeout, err = timeoutOf(s.timeout)
	return m, err
}

func timeoutOf(text []byte) (time.Duration, error) {
	if d, ok := scanSeconds(text); ok {
		return d, nil
	}
	return parseTimeout(string(text))
}

// scanSeconds reads the usual form of a timeout: "5s", "4.985s". It reports
// false for anything else, and for none that is left.
func scanSeconds(text []byte) (time.Duration, bool) {
	const most = 9 // digits, on either side
	digits, dot, n := 0, -1, time.Duration(0)
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9' && digits < most:
			n = n*10 + time.Duration(c-'0')
			digits++
		case c == '.' && dot < 0 && digits > 0:
			dot = digits
		case c == 's' && i == len(text)-1 && digits > 0 && digits != dot && n > 0:
			if dot < 0 {
				dot = digits
			}
			for range most - (digits - dot) {
				n *= 10
			}
			return n, true
		default:
			return 0, false
		}
	}
	return 0, false
}

func parseTimeout(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errs.Wrap(errs.CodeUnavailable, err)
	}
	if d <= 0 {
		return 0, errs.New(errs.CodeUnavailable, errs.ErrRequestTimeout.Message)
	}
	return d, nil
}

// scanMetadata reads the common shape, a flat object of plain strings and
// numbers with well-known keys, without building a map. It reports false for anything else.
func scanMetadata(b []byte) (scanned, bool) {
	var s scanned
	if len(b) < 2 || b[0] != '{' || !plain(b) {
		return s, false
	}
	if len(b) == 2 && b[1] == '}' {
		return s, true
	}
	return s, s.members(b[1:])
}

// members reads the members of an object, up to its end.
func (s *scanned) members(rest []byte) bool {
	for {
		key, after, ok := scanString(rest)
		if !ok || len(after) == 0 || after[0] != ':' {
			return false
		}
		value, after, isString, ok := scanValue(after[1:])
		if !ok || !s.set(key, value, isString) || len(after) == 0 {
			return false
		}
		switch {
		case after[0] == ',':
			rest = after[1:]
		case len(after) == 1 && after[0] == '}':
			return true
		default:
			return false
		}
	}
}

// set stores a well-known key and reports false for a key that must pass through.
func (s *scanned) set(key, value []byte, isString bool) bool {
	switch string(key) {
	case constants.PeerIDKey, constants.PeerServiceKey, constants.RouteKey:
		return isString // replaced at every hop
	case constants.RequestIDKey:
		s.requestID = value
		return isString
	case constants.TimeoutKey:
		s.timeout, s.hasTimeout = value, true
		return isString
	case constants.StartTimeKey:
		s.startTime = value
		return !isString
	case constants.HopsKey:
		s.hops = parseHops(string(value))
		return !isString
	}
	return false
}

// plain reports whether b is ASCII without control characters and without the
// escapes of JSON, looking at eight bytes at a time.
func plain(b []byte) bool {
	if bytes.IndexByte(b, '\\') >= 0 {
		return false
	}
	const tops, spaces = 0x8080808080808080, 0x2020202020202020
	for ; len(b) >= 8; b = b[8:] {
		v := binary.LittleEndian.Uint64(b)
		if (v|(v-spaces))&tops != 0 { // a byte below a space borrows into its top bit
			return false
		}
	}
	for _, c := range b {
		if c < ' ' || c >= 0x80 {
			return false
		}
	}
	return true
}

// scanString reads a quoted string of plain text.
func scanString(in []byte) (text, rest []byte, ok bool) {
	if len(in) == 0 || in[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(in[1:], '"')
	if end < 0 {
		return nil, nil, false
	}
	return in[1 : 1+end], in[2+end:], true
}

// scanValue reads a plain string or an unsigned integer.
func scanValue(in []byte) (value, rest []byte, isString, ok bool) {
	if len(in) > 0 && in[0] == '"' {
		value, rest, ok = scanString(in)
		return value, rest, true, ok
	}
	n := 0
	for n < len(in) && in[n] >= '0' && in[n] <= '9' {
		n++
	}
	return in[:n], in[n:], false, n > 0 && (n == 1 || in[0] != '0')
}

// hop is what one call adds to the metadata that it passes on.
type hop struct {
	peerID, peerType string
	route            string // of the request being served
	timeout          time.Duration
}

// appendTo appends the metadata as JSON, keys sorted as the reference has them.
func (m *metadata) appendTo(dst []byte, h hop) []byte {
	if m.others != nil {
		return m.appendWithOthers(dst, h)
	}
	dst = append(dst, `{"`+constants.HopsKey+`":`...)
	dst = strconv.AppendInt(dst, int64(m.hops+1), 10)
	dst = append(dst, ',')
	dst = appendMember(dst, constants.PeerIDKey, h.peerID)
	dst = append(dst, ',')
	dst = appendMember(dst, constants.PeerServiceKey, h.peerType)
	if h.route != "" {
		dst = append(dst, ',')
		dst = appendMember(dst, constants.RouteKey, h.route)
	}
	switch {
	case m.startTime != "":
		dst = append(dst, `,"`+constants.StartTimeKey+`":`...)
		dst = append(dst, m.startTime...)
	case m.began != 0:
		dst = append(dst, `,"`+constants.StartTimeKey+`":`...)
		dst = strconv.AppendInt(dst, m.began, 10)
	}
	dst = append(dst, `,"`+constants.TimeoutKey+`":"`...)
	dst = append(dst, formatTimeout(h.timeout)...)
	dst = append(dst, '"')
	if m.requestID != "" {
		dst = append(dst, ',')
		dst = appendMember(dst, constants.RequestIDKey, m.requestID)
	}
	return append(dst, '}')
}

func (m *metadata) appendWithOthers(dst []byte, h hop) []byte {
	others := m.others.values()
	all := make(map[string]json.RawMessage, len(others)+7)
	maps.Copy(all, others)
	all[constants.HopsKey] = strconv.AppendInt(nil, int64(m.hops+1), 10)
	all[constants.PeerIDKey] = appendJSONString(nil, h.peerID)
	all[constants.PeerServiceKey] = appendJSONString(nil, h.peerType)
	all[constants.TimeoutKey] = appendJSONString(nil, formatTimeout(h.timeout))
	if h.route != "" {
		all[constants.RouteKey] = appendJSONString(nil, h.route)
	}
	switch {
	case m.startTime != "":
		all[constants.StartTimeKey] = json.RawMessage(m.startTime)
	case m.began != 0:
		all[constants.StartTimeKey] = strconv.AppendInt(nil, m.began, 10)
	}
	if m.requestID != "" {
		all[constants.RequestIDKey] = appendJSONString(nil, m.requestID)
	}
	b, err := json.Marshal(all)
	if err != nil { // a value that was valid JSON when it came in cannot fail now
		return append(dst, "{}"...)
	}
	return append(dst, b...)
}

func appendMember(dst []byte, key, value string) []byte {
	dst = append(dst, '"')
	dst = append(dst, key...)
	dst = append(dst, `":`...)
	return appendJSONString(dst, value)
}

// appendJSONString quotes s; plain ASCII, the usual case, without reflection.
func appendJSONString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b, err := json.Marshal(s)
			if err != nil { // cannot be: a string always marshals
				return append(dst, `""`...)
			}
			return append(dst, b...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// formatTimeout never says "0s", which a Pitaya callee takes as expired.
// Towards one it is rounded to what the reference prints anyway.
func formatTimeout(d time.Duration) string {
	if d <= time.Millisecond {
		return "1ms"
	}
	return d.Round(time.Millisecond).String()
}

// newMetadata is of a call that began at a time and serves no other.
func newMetadata(at time.Time) metadata {
	return metadata{requestID: nuid.Next(), began: at.UnixNano()}
}
