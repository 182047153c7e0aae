package config

import (
	"strings"

	"github.com/agext/levenshtein"
)

// list says where every key is.
const list = ": docs/configuration.md lists all of them"

// noInsecure answers those who look for a way around the check of certificates.
const noInsecure = "is not a key: certificates are always checked; name the authority in tls.ca, and the name in the certificate in tls.servername"

// unknown says what a key that is not known may have meant.
func (l *loader) unknown(key string) string {
	if l.schema.isSection(key) {
		return "is a section, not a setting: name one below it, such as " + l.firstBelow(key)
	}
	if strings.HasSuffix(key, "insecureskipverify") {
		return noInsecure
	}
	if known, ok := l.nearest(key, func(known string) string { return known }); ok {
		return "is not a known key: did you mean " + l.root + "." + known + "?"
	}
	return "is not a known key" + list
}

func (l *loader) unknownEnv(name string) string {
	if strings.HasSuffix(name, "_INSECURESKIPVERIFY") {
		return noInsecure
	}
	as := func(key string) string { return envName(l.root, key) }
	if known, ok := l.nearest(name, as); ok {
		return "is not a known variable: did you mean " + as(known) + "?"
	}
	return "is not a known variable" + list
}

func (l *loader) firstBelow(section string) string {
	for _, leaf := range l.schema.leaves {
		if strings.HasPrefix(leaf.key, section+".") {
			return l.root + "." + leaf.key
		}
	}
	return l.root
}

// nearest is the setting whose name, as written by as, is the fewest edits from
// name; false when it takes so many that nobody meant it.
func (l *loader) nearest(name string, as func(key string) string) (string, bool) {
	best, least := "", -1
	for _, leaf := range l.schema.leaves {
		if d := levenshtein.Distance(name, as(leaf.key), nil); least < 0 || d < least {
			best, least = leaf.key, d
		}
	}
	return best, least <= max(2, len(name)/4)
}
