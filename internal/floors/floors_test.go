package floors_test

import (
	"go/ast"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule finds what breaks it.
type rule struct {
	name  string // also its folder in testdata
	check func(*tree) []violation
}

func rules() []rule {
	return []rule{
		{"imports", importsGoDown},
		{"examples", examplesUsePublicAPI},
		{"goroutines", noBareGo},
		{"sleep", noSleep},
		{"variables", noMutableVariables},
		{"docfile", everyPackageHasDocFile},
		{"comments", exportedIsDocumented},
		{"names", noDumpingGrounds},
		{"interfaces", interfacesAreSmall},
	}
}

// TestHouse applies every rule to this module.
func TestHouse(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	tr := load(t, root, modulePath)
	require.NotEmpty(t, tr.files)
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range r.check(tr) {
				t.Error(v)
			}
		})
	}
	t.Run("exceptions are needed", func(t *testing.T) {
		t.Parallel()
		for _, unused := range unusedExceptions(tr) {
			t.Error(unused)
		}
	})
}

// TestRulesFindTheirFixtures shows each rule the module in testdata that
// breaks it: it must find what the "want:" comments announce, and no more.
func TestRulesFindTheirFixtures(t *testing.T) {
	t.Parallel()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			tr := load(t, filepath.Join("testdata", r.name), "example.test/bad")
			want := wanted(tr)
			require.NotEmpty(t, want, "a fixture without a fault proves nothing")
			got := make([]string, 0, len(want))
			for _, v := range r.check(tr) {
				got = append(got, v.String())
			}
			slices.Sort(got)
			slices.Sort(want)
			require.Equal(t, want, got)
		})
	}
}

// wanted reads the "want: text" comments, which belong to their line, and the
// "want above: text" comments, which belong to the line before: a comment
// beside a declaration would document it.
func wanted(tr *tree) []string {
	pattern := regexp.MustCompile(`want( above)?: (.*\S)`)
	var out []string
	for _, s := range tr.files {
		for _, group := range s.ast.Comments {
			for _, c := range group.List {
				if m := pattern.FindStringSubmatch(c.Text); m != nil {
					v := tr.at(s, ast.Node(c), m[2])
					if m[1] != "" {
						v.line--
					}
					out = append(out, v.String())
				}
			}
		}
	}
	return out
}
