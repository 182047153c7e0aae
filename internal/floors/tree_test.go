package floors_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/cereus-game/cereus"

// tree is a module's source, parsed.
type tree struct {
	module string
	root   string
	fset   *token.FileSet
	files  []*source
}

// source is one file.
type source struct {
	path      string // slash-separated, below the module's root
	dir       string // its package's folder, "." for the root
	test      bool
	generated bool
	ast       *ast.File
}

// violation says what is wrong where.
type violation struct {
	path string
	line int
	text string
}

func (v violation) String() string { return fmt.Sprintf("%s:%d: %s", v.path, v.line, v.text) }

// load parses every Go file below root, but for folders the go tool ignores.
func load(t *testing.T, root, module string) *tree {
	t.Helper()
	tr := &tree{module: module, root: root, fset: token.NewFileSet()}
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && ignored(d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		return tr.parse(name)
	}))
	return tr
}

func ignored(dir string) bool {
	return dir == "testdata" || dir == "vendor" || dir == "node_modules" ||
		strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_")
}

func (tr *tree) parse(name string) error {
	file, err := parser.ParseFile(tr.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(tr.root, name)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	tr.files = append(tr.files, &source{
		path: rel, dir: path.Dir(rel), ast: file,
		test:      strings.HasSuffix(rel, "_test.go"),
		generated: ast.IsGenerated(file),
	})
	return nil
}

// written yields the files people wrote that are no tests.
func (tr *tree) written() []*source {
	return slices.DeleteFunc(slices.Clone(tr.files), func(s *source) bool { return s.test || s.generated })
}

// packages groups the files, without tests, by folder.
func (tr *tree) packages() map[string][]*source {
	out := make(map[string][]*source)
	for _, s := range tr.files {
		if !s.test {
			out[s.dir] = append(out[s.dir], s)
		}
	}
	return out
}

func (tr *tree) at(s *source, n ast.Node, text string) violation {
	return violation{path: s.path, line: tr.fset.Position(n.Pos()).Line, text: text}
}

// folder turns an import path of this module into a folder.
func (tr *tree) folder(importPath string) (string, bool) {
	if importPath == tr.module {
		return ".", true
	}
	return strings.CutPrefix(importPath, tr.module+"/")
}

func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value)
	return p
}

// importName is the name under which a file knows a package, "" if it does not import it.
func importName(s *source, pkg string) string {
	for _, spec := range s.ast.Imports {
		if importPath(spec) != pkg {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(pkg)
	}
	return ""
}

// isSelector reports whether e is name.sel, and name is not empty.
func isSelector(e ast.Expr, name, sel string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || name == "" || s.Sel.Name != sel {
		return false
	}
	id, ok := s.X.(*ast.Ident)
	return ok && id.Name == name
}

// below reports whether folder is dir or lies in it. In the root lies only the root.
func below(folder, dir string) bool { return folder == dir || strings.HasPrefix(folder, dir+"/") }
