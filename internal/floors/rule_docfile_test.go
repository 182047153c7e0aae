package floors_test

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// everyPackageHasDocFile wants a doc.go that opens with "Package name"; a
// program may carry its comment in any file, as "Command name" or otherwise.
func everyPackageHasDocFile(tr *tree) []violation {
	var out []violation
	pkgs := tr.packages()
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		first := pkgs[dir][0]
		if fault := docFault(pkgs[dir]); fault != "" {
			out = append(out, tr.at(first, first.ast.Name, fault))
		}
	}
	return out
}

func docFault(files []*source) string {
	name := files[0].ast.Name.Name
	for _, s := range files {
		doc := strings.TrimSpace(s.ast.Doc.Text())
		if name == "main" && doc != "" {
			return ""
		}
		if path.Base(s.path) == "doc.go" && strings.HasPrefix(doc, "Package "+name) {
			return ""
		}
	}
	if name == "main" {
		return "program without a comment above its package clause"
	}
	return "package " + name + " has no doc.go that begins with \"Package " + name + "\""
}
