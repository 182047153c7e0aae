//go:build unix

package cereus_test

import (
	"errors"
	"syscall"

	"github.com/stretchr/testify/require"
)

// freeze stops the child where it is, and returns when it stands still.
func (c *child) freeze() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	for !status.Stopped() {
		_, err := syscall.Wait4(c.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		require.NoError(c.t, err)
		require.False(c.t, status.Exited() || status.Signaled(), "it ended")
	}
}

// thaw has it go on.
func (c *child) thaw() {
	c.t.Helper()
	c.signal(syscall.SIGCONT)
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(s))
}
