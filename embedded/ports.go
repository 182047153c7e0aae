package embedded

import (
	"errors"
	"fmt"

	"github.com/cereus-game/cereus/internal/loopback"
)

// bindTries is how many free ports a server tries: between the search and the
// bind another process may take one.
const bindTries = 5

// ErrPortInUse is in every error of Start about a port that something else holds.
var ErrPortInUse = errors.New("port is in use")

// PortError is the error of Start about such a port. It matches ErrPortInUse.
type PortError struct {
	Server string // "etcd" or "nats-server"
	Option string // what chooses another port, such as "embedded.WithEtcdPort"
	Cause  error  // of the operating system; it names the address
}

// Error is all of it.
func (e *PortError) Error() string {
	return fmt.Sprintf("%s: %v: %v; stop the process that holds it, or choose another with %s (0 takes a free one)",
		e.Server, ErrPortInUse, e.Cause, e.Option)
}

// Unwrap is ErrPortInUse and the cause.
func (e *PortError) Unwrap() []error { return []error{ErrPortInUse, e.Cause} }

// bind starts a server with try, which takes a free port each time, until the
// port was still free when the server took it. A fixed port is tried once, and
// so is what fails with ErrPortInUse.
func bind(server, option string, fixed bool, try func() error) error {
	for range bindTries {
		err := try()
		if err == nil || !loopback.InUse(err) || errors.Is(err, ErrPortInUse) {
			return err
		}
		if fixed {
			return &PortError{Server: server, Option: option, Cause: err}
		}
	}
	return fmt.Errorf("%s found no free port in %d tries; try again, or choose one with %s", server, bindTries, option)
}
