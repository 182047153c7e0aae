package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// readFile takes the settings of the file or reader.
func (l *loader) readFile(o Options) error {
	v, name := viper.New(), "file "+o.File
	var err error
	switch {
	case o.Reader != nil:
		if o.File == "" {
			name = "file"
		}
		v.SetConfigType(orYAML(o.Format))
		err = v.ReadConfig(o.Reader)
	case o.File != "":
		v.SetConfigFile(o.File)
		if o.Format != "" || !strings.Contains(o.File[strings.LastIndexAny(o.File, `/\`)+1:], ".") {
			v.SetConfigType(orYAML(o.Format))
		}
		err = v.ReadInConfig()
	default:
		return nil
	}
	if format, ok := errors.AsType[viper.UnsupportedConfigError](err); ok {
		return fmt.Errorf("config: %s: %q is not a format that can be read: use YAML, JSON or TOML, "+
			"told by the ending .yaml, .yml, .json or .toml or by Options.Format", name, string(format))
	}
	if err != nil {
		return fmt.Errorf("config: %s: %w", name, err)
	}
	set := map[string]given{}
	for _, key := range v.AllKeys() {
		if inner, ok := strings.CutPrefix(key, l.root+"."); ok {
			l.addFileKey(set, v, inner, name)
		}
	}
	l.source(set)
	if len(set) == 0 {
		l.warnNothingSet(v, name)
	}
	return nil
}

func orYAML(format string) string {
	if format == "" {
		return "yaml"
	}
	return format
}

// addFileKey takes one flattened key. Below a setting that is a map, keys are
// names in it.
func (l *loader) addFileKey(set map[string]given, v *viper.Viper, key, origin string) {
	if owner, ok := l.mapOwner(key); ok {
		key = owner
	}
	raw := v.Get(l.root + "." + key)
	_, known := l.schema.leaf(key)
	if raw == nil && (known || l.schema.isSection(key)) {
		return // "key:" with nothing behind it
	}
	set[key] = given{raw, origin}
}

// mapOwner is the setting, or former setting, that is a map and holds key.
func (l *loader) mapOwner(key string) (string, bool) {
	for _, leaf := range l.schema.leaves {
		if leaf.isMap() && strings.HasPrefix(key, leaf.key+".") {
			return leaf.key, true
		}
	}
	if old, ok := l.findLegacy(key); ok && old.renamed != "" {
		if leaf, ok := l.schema.leaf(old.renamed); ok && leaf.isMap() {
			return old.key, true
		}
	}
	return "", false
}

// warnNothingSet notices a file that is empty, or loaded under the wrong root.
func (l *loader) warnNothingSet(v *viper.Viper, origin string) {
	text := fmt.Sprintf("the file sets nothing under %q: every key of it begins with that", l.root)
	for _, other := range []string{DefaultRoot, PitayaRoot} {
		if other != l.root && v.IsSet(other) {
			text = fmt.Sprintf("the file sets nothing under %q but has %q: load it with Options.Root %q to use that", l.root, other, other)
		}
	}
	l.report.Warnings = append(l.report.Warnings, Note{Key: l.root, Origin: origin, Text: text})
}

// readEnv takes the variables that begin with the root. Empty ones count as
// not set.
func (l *loader) readEnv(environ []string) {
	prefix := envName(l.root, "")
	set := map[string]given{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || value == "" {
			continue
		}
		origin := "environment " + name
		switch key, ok := l.envKey(name); {
		case ok:
			set[key] = given{value, origin}
		case !isServiceLink(name):
			l.faults = append(l.faults, &Fault{Key: name, Origin: "environment", Want: l.unknownEnv(name)})
		}
	}
	l.source(set)
}

// envKey is the key of a variable, also of one that Pitaya has.
func (l *loader) envKey(name string) (string, bool) {
	for _, leaf := range l.schema.leaves {
		if envName(l.root, leaf.key) == name {
			return leaf.key, true
		}
	}
	for _, old := range l.legacy {
		base := envName(l.root, old.key)
		if name == base {
			return old.key, true
		}
		if rest, ok := strings.CutPrefix(name, base+"_"); ok && old.renamed == "" {
			return old.key + "." + strings.ReplaceAll(strings.ToLower(rest), "_", "."), true
		}
	}
	return "", false
}

// isServiceLink reports whether Kubernetes may have made the variable: it does
// so for every service whose name begins with the root.
func isServiceLink(name string) bool {
	return regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`).MatchString(name)
}

// readOverrides takes what code sets.
func (l *loader) readOverrides(overrides map[string]any) {
	set := map[string]given{}
	for key, raw := range overrides {
		key = strings.TrimPrefix(strings.ToLower(key), l.root+".")
		set[key] = given{raw, "code"}
	}
	l.source(set)
}
