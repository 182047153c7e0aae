package floors_test

import (
	"go/ast"
	"go/token"
)

// exportedIsDocumented wants a doc comment on everything exported.
func exportedIsDocumented(tr *tree) []violation {
	var out []violation
	for _, s := range tr.written() {
		if s.ast.Name.Name == "main" {
			continue
		}
		for _, d := range s.ast.Decls {
			for _, id := range undocumented(d) {
				out = append(out, tr.at(s, id, "exported "+id.Name+" has no doc comment"))
			}
		}
	}
	return out
}

func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d.Recv) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		return undocumentedSpecs(d)
	}
	return nil
}

func exportedReceiver(recv *ast.FieldList) bool {
	if recv == nil {
		return true
	}
	typ := recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}

// undocumentedSpecs accepts one comment for a group of constants or variables.
func undocumentedSpecs(d *ast.GenDecl) []*ast.Ident {
	var out []*ast.Ident
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				if d.Doc == nil && s.Doc == nil {
					out = append(out, s.Name)
				}
				out = append(out, undocumentedMethods(s)...)
			}
		case *ast.ValueSpec:
			if d.Doc == nil && s.Doc == nil && s.Comment == nil && d.Tok != token.IMPORT {
				out = append(out, exported(s.Names)...)
			}
		}
	}
	return out
}

// undocumentedMethods lets the comment of an interface speak for its only method.
func undocumentedMethods(s *ast.TypeSpec) []*ast.Ident {
	i, ok := s.Type.(*ast.InterfaceType)
	if !ok || i.Methods.NumFields() == 1 {
		return nil
	}
	var out []*ast.Ident
	for _, m := range i.Methods.List {
		if m.Doc == nil && m.Comment == nil {
			out = append(out, exported(m.Names)...)
		}
	}
	return out
}

func exported(names []*ast.Ident) []*ast.Ident {
	var out []*ast.Ident
	for _, n := range names {
		if n.IsExported() {
			out = append(out, n)
		}
	}
	return out
}
