package childtest

import (
	"bufio"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Start runs this test binary with env, as NAME=value, and none of its tests. out
// is what the child prints; what it says on its standard error goes to that of
// the tests. Its standard input ends when the tests do. The child is killed at
// the end of the test at the latest.
func Start(t testing.TB, env ...string) (child *exec.Cmd, out *bufio.Reader) {
	t.Helper()
	child = exec.Command(os.Args[0], "-test.run=^$") //nolint:gosec,noctx // itself; it ends in Cleanup
	child.Env = append(os.Environ(), env...)
	child.Stderr = os.Stderr
	_, err := child.StdinPipe()
	require.NoError(t, err)
	printed, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Kill() // already gone in some tests
		_ = child.Wait()
	})
	return child, bufio.NewReader(printed)
}
