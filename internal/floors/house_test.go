package floors_test

import (
	"fmt"
	"slices"
)

// floor is a storey of the house; imports lead to the same one or further down.
type floor int

const (
	facts floor = iota
	mechanism
	components
	service
	app
)

// house gives every folder its floor. A folder that is not listed belongs to
// the longest listed one that contains it; the root lists only itself.
func house() map[string]floor {
	return map[string]floor{
		"config":               facts,
		"constants":            facts,
		"errs":                 facts,
		"route":                facts,
		"protocol":             facts,
		"serializer":           facts,
		"metrics":              facts,
		"logger":               facts,
		"internal/lifecycle":   facts,
		"internal/ratelimit":   facts,
		"internal/loopback":    facts,
		"internal/jsontext":    facts,
		"internal/faultproxy":  facts,
		"internal/browsertest": facts,
		"internal/childtest":   facts,
		"internal/conformance": app,
		"internal/wirevectors": facts,
		"internal/floors":      facts,

		"cluster":  mechanism,
		"registry": mechanism,
		"router":   mechanism,
		"session":  mechanism,
		"acceptor": mechanism,

		"component": components,
		"pipeline":  components,
		"group":     components,
		"modules":   components,
		"admin":     components,

		"internal/dispatch": service,
		"internal/agent":    service,
		"internal/feed":     service,

		".":           app,
		"cmd":         app,
		"bench":       app,
		"docs":        app,
		"examples":    app,
		"embedded":    app,
		"clustertest": app,
		"client":      app,
	}
}

// walls stand between folders whatever their floors: the first imports nothing
// of the second. "" stands for every other folder of the module.
func walls() [][2]string {
	return [][2]string{
		{"config", ""},
		{"session", "cluster"},
		{"cluster", "session"},
		{".", "cmd"},
		{".", "bench"},
		{".", "examples"},
		{".", "embedded"},
		{".", "clustertest"},
		{".", "client"},
		{"client", "."},
	}
}

// floorOf finds the floor of a folder.
func floorOf(folder string) (floor, bool) {
	best, at, found := "", facts, false
	for dir, f := range house() {
		if below(folder, dir) && len(dir) >= len(best) {
			best, at, found = dir, f, true
		}
	}
	return at, found
}

func floorName(f floor) string {
	return []string{"facts", "mechanism", "component", "service", "app"}[f]
}

// importsGoDown wants a floor for every package, and imports that do not go up
// or through a wall. Tests may import anything.
func importsGoDown(tr *tree) []violation {
	var out []violation
	for _, s := range tr.files {
		if s.test {
			continue
		}
		from, known := floorOf(s.dir)
		if !known {
			out = append(out, tr.at(s, s.ast.Name, fmt.Sprintf("package %s has no floor: list it in house()", s.dir)))
			continue
		}
		for _, spec := range s.ast.Imports {
			folder, ours := tr.folder(importPath(spec))
			if !ours {
				continue
			}
			if fault := badImport(s.dir, from, folder); fault != "" {
				out = append(out, tr.at(s, spec, fault))
			}
		}
	}
	return out
}

func badImport(dir string, from floor, folder string) string {
	to, known := floorOf(folder)
	if known && to > from {
		return fmt.Sprintf("%s (%s) imports %s (%s), a floor above", dir, floorName(from), folder, floorName(to))
	}
	if slices.ContainsFunc(walls(), func(w [2]string) bool { return below(dir, w[0]) && hits(dir, folder, w) }) {
		return fmt.Sprintf("%s may not import %s", dir, folder)
	}
	return ""
}

// hits reports whether the import of folder by dir goes through the wall.
func hits(dir, folder string, wall [2]string) bool {
	if wall[1] == "" {
		return !below(folder, wall[0]) && folder != dir
	}
	return below(folder, wall[1])
}
