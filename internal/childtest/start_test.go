package childtest_test

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cereus-game/cereus/internal/childtest"
)

const childEnv = "CEREUSTEST_CHILDTEST"

func TestMain(m *testing.M) {
	if word := os.Getenv(childEnv); word != "" {
		fmt.Println(word)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestStart(t *testing.T) {
	t.Parallel()
	child, out := childtest.Start(t, childEnv+"=hello")
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hello\n", line)
	require.NoError(t, child.Process.Kill())
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Empty(t, rest)
}
