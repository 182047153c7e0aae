package floors_test

import "go/ast"

// noBareGo wants every goroutine started through lifecycle.Group.Go.
func noBareGo(tr *tree) []violation {
	var out []violation
	for _, s := range tr.written() {
		if below(s.dir, "internal/lifecycle") {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				out = append(out, tr.at(s, g, "a bare go statement: use lifecycle.Group.Go, whose owner waits for it"))
			}
			return true
		})
	}
	return out
}
