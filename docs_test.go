package cereus_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/protocol"
)

// TestCodeOfPages: what the pages show is code that runs.
func TestCodeOfPages(t *testing.T) {
	t.Parallel()
	for page, sources := range map[string][]string{
		"docs/calls.md":   {"call_example_test.go"},
		"docs/players.md": {"players_example_test.go", "push_example_test.go", "example_test.go"},
	} {
		var source string
		for _, name := range sources {
			source += text(t, name)
		}
		blocks := strings.Split(text(t, page), "\n```go\n")[1:]
		require.NotEmpty(t, blocks)
		for _, block := range blocks {
			code, _, closed := strings.Cut(block, "\n```")
			require.True(t, closed)
			require.Contains(t, unindented(source), unindented(code), page)
		}
	}
}

// TestTestsOfPages: a guarantee is shown by tests that there are.
func TestTestsOfPages(t *testing.T) {
	t.Parallel()
	there := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)\w+)\(`)
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			for _, found := range declared.FindAllStringSubmatch(text(t, path), -1) {
				there[found[1]] = true
			}
		}
		return err
	}))
	named := regexp.MustCompile("`((?:Test|Benchmark)\\w+)`")
	for _, page := range []string{"docs/calls.md", "docs/discovery.md", "docs/players.md"} {
		for _, name := range named.FindAllStringSubmatch(text(t, page), -1) {
			require.True(t, there[name[1]], "%s: %s", page, name[1])
		}
	}
}

// TestLimitsOfPlayers: the page has the defaults of the configuration.
func TestLimitsOfPlayers(t *testing.T) {
	t.Parallel()
	defaults := make(map[string]string)
	for _, row := range rows(t, "docs/configuration.md") {
		if len(row) > 3 {
			defaults[strings.Trim(row[0], "`")], _, _ = strings.Cut(strings.Trim(row[2], "`"), "`")
		}
	}
	key := regexp.MustCompile("^`[a-z]+(\\.[a-z]+)+`$")
	checked := 0
	for _, row := range rows(t, "docs/players.md") {
		if len(row) != 4 || !key.MatchString(row[1]) {
			continue
		}
		want, ok := defaults[strings.Trim(row[1], "`")]
		require.True(t, ok, row[1])
		require.Regexp(t, "^"+regexp.QuoteMeta(want)+"(,| in |$)", row[2], row[1])
		checked++
	}
	require.Greater(t, checked, 15)
}

// TestCodesOfPlayers: every word has the code that the page tells.
func TestCodesOfPlayers(t *testing.T) {
	t.Parallel()
	told := make(map[string]string)
	for _, row := range rows(t, "docs/players.md") {
		if _, err := strconv.Atoi(row[0]); err == nil {
			told[strings.Trim(row[1], "`")] = row[0]
		}
	}
	require.Len(t, told, 16)
	for word, code := range told {
		require.Equal(t, code, strconv.Itoa(int(protocol.CloseCodeOf(word))), word)
	}
}

// rows are the cells of a page's tables.
func rows(t *testing.T, page string) (all [][]string) {
	for line := range strings.Lines(text(t, page)) {
		if inner, ok := strings.CutPrefix(strings.TrimSpace(line), "| "); ok {
			cells := strings.Split(strings.TrimSuffix(inner, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			all = append(all, cells)
		}
	}
	return all
}

func text(t *testing.T, name string) string {
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}

// unindented is text without the space at the beginning of its lines.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
