package floors_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// noMutableVariables forbids package variables, but for those that nobody
// changes by nature: sentinel errors, compiled patterns, assertions that a
// type implements an interface, embedded files and pools.
func noMutableVariables(tr *tree) []violation {
	var out []violation
	for _, s := range tr.written() {
		eachVariable(s, func(spec *ast.ValueSpec, decl *ast.GenDecl) {
			for i, name := range spec.Names {
				if constantByNature(s, spec, i) || embedsFiles(decl, spec) || excepted(variableExceptions(), s.path+":"+name.Name) {
					continue
				}
				out = append(out, tr.at(s, name, "package variable "+name.Name+": pass the value, or return it from a function"))
			}
		})
	}
	return out
}

func eachVariable(s *source, visit func(*ast.ValueSpec, *ast.GenDecl)) {
	for _, d := range s.ast.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, spec := range decl.Specs {
			visit(spec.(*ast.ValueSpec), decl)
		}
	}
}

func constantByNature(s *source, spec *ast.ValueSpec, i int) bool {
	if spec.Names[i].Name == "_" || isPool(s, spec.Type) {
		return true
	}
	if i >= len(spec.Values) {
		return false
	}
	switch v := spec.Values[i].(type) {
	case *ast.CallExpr:
		return isSentinel(spec.Names[i].Name, v.Fun) || isPattern(s, v.Fun)
	case *ast.CompositeLit:
		return isPool(s, v.Type)
	}
	return false
}

// isSentinel knows a sentinel error by its name; every package has its own
// constructors for them. Errors that are built otherwise are exceptions.
func isSentinel(name string, fun ast.Expr) bool {
	id, ok := fun.(*ast.Ident)
	made := ok && (id.Name == "make" || id.Name == "new")
	return !made && (strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "err"))
}

func isPattern(s *source, fun ast.Expr) bool {
	return isSelector(fun, importName(s, "regexp"), "MustCompile")
}

func isPool(s *source, typ ast.Expr) bool { return isSelector(typ, importName(s, "sync"), "Pool") }

func embedsFiles(decl *ast.GenDecl, spec *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{decl.Doc, spec.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

func eachVariableName(s *source, visit func(string)) {
	eachVariable(s, func(spec *ast.ValueSpec, _ *ast.GenDecl) {
		for _, name := range spec.Names {
			visit(name.Name)
		}
	})
}
