package floors_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScriptsParse keeps the scripts of CI executable and free of syntax errors.
func TestScriptsParse(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here, so nobody runs the scripts, either")
	}
	scripts, err := filepath.Glob("../../.ci/*")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, script := range scripts {
		info, err := os.Stat(script)
		require.NoError(t, err)
		require.NotZero(t, info.Mode()&0o111, "%s is not executable", script)
		out, err := exec.CommandContext(t.Context(), bash, "-n", script).CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := os.ReadFile(script)
		require.NoError(t, err)
		require.Contains(t, string(text), "\nset -euo pipefail\n", script)
	}
}

// TestMakefileHelpIsComplete wants a line of help for every target.
func TestMakefileHelpIsComplete(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	phony, helped := regexp.MustCompile(`^\.PHONY: (.+)$`), regexp.MustCompile(`^([a-z-]+):.* ## `)
	targets, described := []string{}, []string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if m := phony.FindStringSubmatch(lines.Text()); m != nil {
			targets = append(targets, m[1])
		}
		if m := helped.FindStringSubmatch(lines.Text()); m != nil {
			described = append(described, m[1])
		}
	}
	require.NotEmpty(t, targets)
	require.Equal(t, targets, described)
}
