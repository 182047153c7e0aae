package route

import (
	"strings"
	"unicode/utf8"

	"github.com/cereus-game/cereus/errs"
)

// MaxLength is the longest route in bytes, since its length travels as one byte.
const MaxLength = 255

// Route addresses one handler or remote. ServerType is empty when the route
// means the server that received it.
type Route struct {
	ServerType string
	Service    string
	Method     string
}

// Parse splits "serverType.service.method" or "service.method". Case and inner
// space are kept. A blank part gives errs.ErrEmptyRoute; another number of
// parts, more than MaxLength bytes, control characters or broken UTF-8 give
// errs.ErrInvalidRoute. It does not allocate; the parts share s.
func Parse(s string) (Route, error) {
	if len(s) > MaxLength || !printable(s) {
		return Route{}, errs.ErrInvalidRoute
	}
	// Blank parts are reported before their number is looked at, as the
	// reference does.
	for rest, more := s, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, ".")
		if strings.TrimSpace(part) == "" {
			return Route{}, errs.ErrEmptyRoute
		}
	}
	first, rest, found := strings.Cut(s, ".")
	if !found {
		return Route{}, errs.ErrInvalidRoute
	}
	second, third, found := strings.Cut(rest, ".")
	switch {
	case !found:
		return Route{Service: first, Method: second}, nil
	case strings.Contains(third, "."):
		return Route{}, errs.ErrInvalidRoute
	}
	return Route{ServerType: first, Service: second, Method: third}, nil
}

// String is the text that Parse reads.
func (r Route) String() string {
	if r.ServerType == "" {
		return r.Short()
	}
	return r.ServerType + "." + r.Service + "." + r.Method
}

// Short is "service.method", the name within one server.
func (r Route) Short() string { return r.Service + "." + r.Method }

// printable refuses what no registered name holds and what would break a log
// line or a subject.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}
