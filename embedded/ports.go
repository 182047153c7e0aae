package embedded

import (
	"errors"
	"fmt"
)

// bindTries is how many free ports a server tries: between the search and the
// bind another process may take one.
const bindTries = 5

// ErrPortInUse is in every error of Start about a port that something else holds.
var ErrPortInUse = errors.New("port is in use")

// portTaken is the error for a port that must be the one that is in use.
// cause names it.
func portTaken(server, option string, cause error) error {
	return fmt.Errorf("%s: %w: %w; stop the process that holds it, or choose another with %s (0 takes a free one)",
		server, ErrPortInUse, cause, option)
}
