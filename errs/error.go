package errs

import (
	"context"
	"errors"
	"maps"
)

// Error is an error with the three facts that travel: code, message, metadata.
// Its cause does not travel. Treat a value as immutable once it was returned;
// With makes changed copies.
type Error struct {
	Code     Code
	Message  string            // may be empty; Error() then describes the code
	Metadata map[string]string // may be nil

	cause error
}

// New returns an error with this code and message. An empty message makes an
// error that, as the target of errors.Is, stands for its whole code.
func New(code Code, message string) *Error {
	return &Error{Code: code, Message: message}
}

// Wrap gives err a code. The message is err's text, err is found by errors.Is
// and errors.As, and the metadata of an *Error inside err is kept. Wrap of a
// nil error returns nil.
func Wrap(code Code, err error) *Error {
	if err == nil {
		return nil
	}
	wrapped := &Error{Code: code, Message: err.Error(), cause: err}
	if inner, ok := errors.AsType[*Error](err); ok && inner != nil {
		wrapped.Metadata = maps.Clone(inner.Metadata)
	}
	return wrapped
}

// Error is the message, or the description of the code when there is none.
func (e *Error) Error() string {
	switch {
	case e == nil:
		return "<nil>"
	case e.Message != "":
		return e.Message
	}
	return e.Code.Text()
}

// Unwrap returns the cause given to Wrap. It is nil for an error that came over
// the wire.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.cause
}

// Is reports whether target is an *Error of the same code and the same message.
// A target without a message matches every error of its code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	if !ok || e == nil || t == nil {
		return false
	}
	return e.Code == t.Code && (t.Message == "" || e.Message == t.Message)
}

// With returns a copy that has this metadata entry as well.
func (e *Error) With(key, value string) *Error {
	changed := *e
	changed.Metadata = maps.Clone(e.Metadata)
	if changed.Metadata == nil {
		changed.Metadata = make(map[string]string, 1)
	}
	changed.Metadata[key] = value
	return &changed
}

// From turns any error into one that can travel: the first *Error in its chain
// as it is; else CodeTimeout for context.DeadlineExceeded; else CodeInternal.
// From(nil) is nil; assign the result to an error variable only after checking.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok && e != nil {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Wrap(CodeTimeout, err)
	}
	return Wrap(CodeInternal, err)
}

// CodeOf is the code that err would travel with; "" for nil.
func CodeOf(err error) Code {
	e := From(err)
	if e == nil {
		return ""
	}
	return e.Code
}
