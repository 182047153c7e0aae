package cli

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// fewNames is up to how many names are told in full.
const fewNames = 5

// known tells which names there are, as many as can be read.
func known(names []string) string {
	switch {
	case len(names) == 1:
		return "there is " + names[0]
	case len(names) <= fewNames:
		return "there are " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("there are %s and %d more", strings.Join(names[:fewNames], ", "), len(names)-fewNames)
}

// meant tells which of the names there are somebody may have meant by one that is
// none; without such, which there are.
func meant(name string, names []string) string {
	var nearest []string
	least := max(2, len(name)/4) // edits; more nobody means
	for _, n := range names {
		d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(n), nil)
		if name != "" && strings.HasPrefix(n, name) {
			d = min(d, least)
		}
		if d < least {
			nearest, least = nil, d
		}
		if d == least {
			nearest = append(nearest, n)
		}
	}
	switch len(nearest) {
	case 0:
		return known(names)
	case 1:
		return "did you mean " + nearest[0] + "?"
	}
	nearest = nearest[:min(len(nearest), 3)]
	last := len(nearest) - 1
	return "did you mean " + strings.Join(nearest[:last], ", ") + " or " + nearest[last] + "?"
}
