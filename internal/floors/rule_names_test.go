package floors_test

import (
	"maps"
	"path"
	"slices"
)

// noDumpingGrounds forbids package names that say nothing about their content.
func noDumpingGrounds(tr *tree) []violation {
	banned := []string{"util", "utils", "common", "helper", "helpers", "pkg", "misc", "shared"}
	var out []violation
	pkgs := tr.packages()
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		first := pkgs[dir][0]
		if slices.Contains(banned, first.ast.Name.Name) || slices.Contains(banned, path.Base(dir)) {
			out = append(out, tr.at(first, first.ast.Name, "package "+dir+": a name that says what is in it, please"))
		}
	}
	return out
}
