package cluster

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cereus-game/cereus/errs"
)

// Limits of what becomes part of a NATS subject (faults.md, Limits).
const (
	// MaxSubject is the longest subject in bytes. NATS closes a connection for
	// good that sends one over 4 KiB.
	MaxSubject = 256
	// MaxUID is the longest uid in bytes.
	MaxUID = 128
)

// subjects builds the subjects of wire.md section 7 and those of our own, which
// begin with "x/" after the prefix.
type subjects struct{ prefix string }

func (s subjects) server(serverType, id string) string {
	return s.prefix + "servers/" + serverType + "/" + id
}

func (s subjects) bindings(serverType string) string { return s.prefix + serverType + "/bindings" }

func (s subjects) userPush(frontendType, uid string) string {
	return s.prefix + frontendType + "/user/" + uid + "/push"
}

func (s subjects) userKick(frontendType, uid string) string {
	return s.prefix + frontendType + "/user/" + uid + "/kick"
}

func (s subjects) pushAll(frontendType string) string { return s.prefix + "x/push/" + frontendType }

func (s subjects) pushOne(frontendType, id string) string {
	return s.prefix + "x/push/" + frontendType + "/" + id
}

func (s subjects) cancel(serverType, id string) string {
	return s.prefix + "x/cancel/" + serverType + "/" + id
}

func (s subjects) kickAll(frontendType string) string { return s.prefix + "x/kick/" + frontendType }

func (s subjects) sessions(frontendType, id string) string {
	return s.prefix + "x/sessions/" + frontendType + "/" + id
}

func (s subjects) load() string { return s.prefix + "x/load" }

// CheckUID reports, as errs.ErrIllegalUID or errs.ErrTooLarge, why the subjects
// of wire.md section 7 cannot carry uid: it must be 1 to MaxUID bytes of
// printable UTF-8 without spaces and, cut at its dots, have no part in the
// middle that is empty or a wildcard; metadata cause says what is wrong. Nil
// means that it can be subscribed to.
func CheckUID(uid string) error {
	switch {
	case len(uid) > MaxUID:
		return errs.New(errs.CodeTooLarge, "the uid is longer than 128 bytes")
	case uid == "" || !utf8.ValidString(uid):
		return errs.ErrIllegalUID.With("cause", "it is empty or no UTF-8")
	}
	for _, r := range uid {
		if !unicode.IsPrint(r) || r == ' ' {
			return errs.ErrIllegalUID.With("cause", "in a cluster it must be printable and without spaces")
		}
	}
	// In a subject the uid stands between slashes, so its first and last part
	// are never a whole token.
	if !plainTokens("/" + uid + "/") {
		return errs.ErrIllegalUID.With("cause", `in a cluster no part between dots may be empty, "*" or ">"`)
	}
	return nil
}

// checkSubject reports why nothing may be published on subject.
func checkSubject(subject string) error {
	if len(subject) > MaxSubject {
		return undelivered(errs.CodeTooLarge, "the NATS subject is longer than 256 bytes: use a shorter type, id or uid")
	}
	for i := range len(subject) {
		if c := subject[i]; c <= ' ' || c == 0x7f {
			return undelivered(errs.CodeBadRequest, "a type, id or uid has characters that a NATS subject cannot carry")
		}
	}
	if !plainTokens(subject) {
		return undelivered(errs.CodeBadRequest, "a type, id or uid makes an empty or wildcard token in a NATS subject")
	}
	return nil
}

// plainTokens reports whether no part between dots is empty or a wildcard.
func plainTokens(subject string) bool {
	for {
		token, rest, more := strings.Cut(subject, ".")
		if token == "" || token == "*" || token == ">" {
			return false
		}
		if !more {
			return true
		}
		subject = rest
	}
}
