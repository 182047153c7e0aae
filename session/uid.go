package session

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cereus-game/cereus/errs"
)

// MaxUID is the largest length of a uid, in bytes.
const MaxUID = 128

// CheckUID returns nil for a uid that a session can be bound to: 1 to [MaxUID]
// bytes of printable UTF-8. Otherwise the error matches [errs.ErrIllegalUID]
// and its metadata says why.
func CheckUID(uid string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case uid == "":
		return errs.ErrIllegalUID.With("cause", "it is empty")
	case len(uid) > MaxUID:
		return errs.ErrIllegalUID.With("cause", fmt.Sprintf("it has %d bytes, at most %d are allowed", len(uid), MaxUID))
	case !utf8.ValidString(uid) || strings.ContainsFunc(uid, unprintable):
		return errs.ErrIllegalUID.With("cause", "it must be printable UTF-8")
	}
	return nil
}
