package errs

// Code classifies an error on the wire. The codes below are the framework's;
// an application may use texts of its own, they travel unchanged.
type Code string

// Codes that cereus itself produces (wire.md 4.2).
const (
	CodeInternal    Code = "PIT-000" // anything without a code, and panics
	CodeBadRequest  Code = "PIT-400" // the caller sent something unusable
	CodeNotFound    Code = "PIT-404" // no such handler or remote
	CodeTimeout     Code = "PIT-408" // no answer before the deadline
	CodeConflict    Code = "PIT-409" // arrived twice, or after a later one
	CodeTooLarge    Code = "PIT-413" // beyond a size limit
	CodeRateLimited Code = "PIT-429" // too many messages from one client
	CodeClosed      Code = "PIT-499" // the connection is gone, or the caller gave the call up
	CodeUnavailable Code = "PIT-500" // no server could be reached; retry later
	CodeBusy        Code = "PIT-503" // the server has no free slot; retry later
)

// Text is a short English description of the code, never empty. It stands in
// for a message wherever an error has none.
func (c Code) Text() string {
	switch c {
	case CodeInternal:
		return "internal error"
	case CodeBadRequest:
		return "bad request"
	case CodeNotFound:
		return "not found"
	case CodeTimeout:
		return "timeout"
	case CodeConflict:
		return "conflict"
	case CodeTooLarge:
		return "too large"
	case CodeRateLimited:
		return "too many messages, slow down"
	case CodeClosed:
		return "connection closed"
	case CodeUnavailable:
		return "unavailable, try again later"
	case CodeBusy:
		return "server busy, try again later"
	case "":
		return "unknown error"
	}
	return "error " + string(c)
}
