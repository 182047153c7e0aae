package config

import (
	"fmt"
	"io"
	"net/url"
	"strings"
)

// URLs are addresses separated by commas, which may carry users, passwords and
// tokens: no way of printing shows those. Convert it to a string to use it.
type URLs string

// String is the addresses without credentials.
func (u URLs) String() string {
	parts := strings.Split(string(u), ",")
	for i, part := range parts {
		if !isAddressURL(part) {
			return maskUser(string(u)) // whatever it is: the last @ ends what could be secret
		}
		parts[i] = maskUser(part)
	}
	return strings.Join(parts, ",")
}

// isAddressURL reports whether part is one whole URL, not a piece of one that a
// comma in a password has cut.
func isAddressURL(part string) bool {
	_, err := url.Parse(strings.TrimSpace(part))
	return err == nil && (strings.Contains(part, "://") || !strings.Contains(part, "@"))
}

// Format hides the credentials from every verb of package fmt.
func (u URLs) Format(f fmt.State, verb rune) {
	text := u.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		text = fmt.Sprintf("%q", text)
	}
	_, _ = io.WriteString(f, text)
}

// MarshalText hides the credentials from encoders.
func (u URLs) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
