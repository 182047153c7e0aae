package cereus_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCallsPage: what docs/calls.md shows is code that runs.
func TestCallsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/calls.md")
	require.NoError(t, err)
	source, err := os.ReadFile("call_example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(page), "\n```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		code, _, closed := strings.Cut(block, "\n```")
		require.True(t, closed)
		require.Contains(t, unindented(string(source)), unindented(code))
	}
}

// unindented is text without the space at the beginning of its lines.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
