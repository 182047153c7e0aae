package floors_test

import (
	"fmt"
	"go/ast"
	"path"
)

const maxMethods = 5

// interfacesAreSmall counts methods, those of embedded interfaces of this
// module included; an embedded interface from elsewhere counts as one.
func interfacesAreSmall(tr *tree) []violation {
	byName := interfaces(tr)
	var out []violation
	for _, s := range tr.written() {
		named := make(map[*ast.InterfaceType]string)
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if i, ok := n.Type.(*ast.InterfaceType); ok {
					named[i] = n.Name.Name
				}
			case *ast.InterfaceType:
				name := named[n]
				if m := methods(tr, s, n, byName); m > maxMethods && !excepted(interfaceExceptions(), s.path+":"+name) {
					out = append(out, tr.at(s, n, fmt.Sprintf("interface %s has %d methods, more than %d", name, m, maxMethods)))
				}
			}
			return true
		})
	}
	return out
}

type declared struct {
	file *source
	typ  *ast.InterfaceType
}

// interfaces finds every named interface, as folder:Name.
func interfaces(tr *tree) map[string]declared {
	out := make(map[string]declared)
	for _, s := range tr.files {
		if s.test {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if i, ok := spec.Type.(*ast.InterfaceType); ok {
					out[s.dir+":"+spec.Name.Name] = declared{s, i}
				}
			}
			return true
		})
	}
	return out
}

func methods(tr *tree, s *source, i *ast.InterfaceType, byName map[string]declared) int {
	n := 0
	for _, f := range i.Methods.List {
		if len(f.Names) > 0 {
			n += len(f.Names)
			continue
		}
		switch f.Type.(type) {
		case *ast.Ident, *ast.SelectorExpr:
			if d, ok := byName[embeddedName(tr, s, f.Type)]; ok {
				n += methods(tr, d.file, d.typ, byName)
			} else {
				n++
			}
		}
	}
	return n
}

func embeddedName(tr *tree, s *source, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return s.dir + ":" + e.Name
	case *ast.SelectorExpr:
		pkg, _ := e.X.(*ast.Ident)
		for _, spec := range s.ast.Imports {
			p := importPath(spec)
			if folder, ours := tr.folder(p); ours && pkg != nil && importName(s, p) == pkg.Name {
				return path.Clean(folder) + ":" + e.Sel.Name
			}
		}
	}
	return ""
}
