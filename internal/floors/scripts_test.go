package floors_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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

// TestMakefileFindsRows wants `make rows` to find the tests of a row also when
// they are named after several.
func TestMakefileFindsRows(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	patterns := regexp.MustCompile(`'\^(?:func )?(Test.*\$\(ROW\)_)'`).FindAllSubmatch(text, -1)
	require.Len(t, patterns, 2)
	for _, p := range patterns {
		row := regexp.MustCompile("^" + strings.ReplaceAll(string(p[1]), "$(ROW)", "N07"))
		for _, name := range []string{"TestN07_Away", "TestN06_N07_Away", "TestN07_N08_Away"} {
			require.Regexp(t, row, name)
		}
		for _, name := range []string{"TestN06_Away", "TestAwayN07_", "TestN070_Away"} {
			require.NotRegexp(t, row, name)
		}
	}
}
