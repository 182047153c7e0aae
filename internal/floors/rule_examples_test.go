package floors_test

import (
	"slices"
	"strings"
)

// examplesUsePublicAPI keeps what a reader cannot import out of examples. Their
// tests are ours and may use what we have.
func examplesUsePublicAPI(tr *tree) []violation {
	var out []violation
	for _, s := range tr.files {
		if s.test || !below(s.dir, "examples") {
			continue
		}
		for _, spec := range s.ast.Imports {
			folder, ours := tr.folder(importPath(spec))
			if ours && slices.Contains(strings.Split(folder, "/"), "internal") {
				out = append(out, tr.at(s, spec, "an example imports "+folder+", which its readers cannot"))
			}
		}
	}
	return out
}
