package floors_test

import "go/ast"

// noSleep forbids time.Sleep outside examples, in tests, too.
func noSleep(tr *tree) []violation {
	var out []violation
	for _, s := range tr.files {
		name := importName(s, "time")
		if below(s.dir, "examples") {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if e, ok := n.(*ast.SelectorExpr); ok && isSelector(e, name, "Sleep") && !excepted(sleepExceptions(), s.path) {
				out = append(out, tr.at(s, e, "time.Sleep: wait for a condition, or select with the context"))
			}
			return true
		})
	}
	return out
}
