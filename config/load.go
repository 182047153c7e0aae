package config

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// The roots that the defaults know.
const (
	DefaultRoot = "cereus"
	PitayaRoot  = "pitaya"
)

// Options say where Load finds settings. The zero value reads the environment only.
type Options struct {
	// Root is the first part of every key, "cereus" when empty. With "pitaya" a
	// Pitaya file loads unchanged. What a file has outside the root is not looked at.
	Root string
	// File is the name of a YAML, JSON or TOML file, told by its extension. It must exist.
	File string
	// Reader is read in place of File; Format is "yaml" (also when empty), "json" or "toml".
	Reader io.Reader
	Format string
	// Env returns the environment as NAME=value, os.Environ when nil. Empty values count as not set.
	Env func() []string
	// Overrides are settings from code, by key with or without the root.
	Overrides map[string]any
}

// Default returns the configuration without any file or environment. It is
// complete and valid, and every call returns a tree of its own.
func Default() *Config {
	cfg, _ := newLoader(DefaultRoot).defaults()
	return cfg
}

// Load returns the defaults, changed by the file, the environment and the
// overrides, in rising precedence, and a report of what was ignored, renamed
// or is worth a warning. The app logs the report's notes (Config.Notes); use the
// report to look at them yourself.
//
// An unknown key under the root is an error that names a known one that is
// spelled alike, if there is one.
// All faults come together, joined, each a *Fault that names its key, its
// value (never of a password) and what would be right; the report is there
// with an error too.
func Load(o Options) (*Config, *Report, error) {
	root := strings.ToLower(o.Root)
	if root == "" {
		root = DefaultRoot
	}
	l := newLoader(root)
	if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(root) {
		return nil, l.report, fmt.Errorf("config: root %q: use letters, digits and _, a letter first", o.Root)
	}
	if err := l.readFile(o); err != nil {
		return nil, l.report, err
	}
	env := o.Env
	if env == nil {
		env = os.Environ
	}
	l.readEnv(env())
	l.readOverrides(o.Overrides)
	cfg := l.finish()
	if err := join(l.faults); err != nil {
		return nil, l.report, err
	}
	cfg.notes = l.report.notes()
	return cfg, l.report, nil
}

// given is a value that someone set.
type given struct {
	raw    any
	origin string
}

// loader gathers what is set, source by source, lowest precedence first.
type loader struct {
	root   string
	schema *schema
	legacy []legacy
	values map[string]given // by key without the root
	report *Report
	faults []error
	noted  map[string]bool
}

func newLoader(root string) *loader {
	return &loader{
		root: root, schema: newSchema(), legacy: legacyKeys(), values: map[string]given{},
		report: &Report{root: root, origins: map[string]string{}}, noted: map[string]bool{},
	}
}

func (l *loader) fault(key, origin, want string) {
	l.faults = append(l.faults, (&Fault{Want: want}).at(l.root+"."+key, origin))
}

func (l *loader) note(list *[]Note, key, origin, text string) {
	n := Note{Key: l.root + "." + key, Origin: origin, Text: text}
	if !l.noted[n.Key+text] {
		l.noted[n.Key+text] = true
		*list = append(*list, n)
	}
}

func (l *loader) warn(key, text string) {
	l.note(&l.report.Warnings, key, l.report.Origin(key), text)
}

// source takes what one source sets, by key without the root. Renamed keys
// give way to the new name within one source.
func (l *loader) source(set map[string]given) {
	taken := map[string]bool{}
	for _, key := range sortedKeys(set) {
		if _, ok := l.schema.leaf(key); ok {
			taken[key] = true
			l.values[key] = set[key]
			l.report.origins[key] = set[key].origin
		}
	}
	for _, key := range sortedKeys(set) {
		if _, ok := l.schema.leaf(key); !ok {
			l.foreign(key, set[key], taken)
		}
	}
}

// foreign takes a key that is not one of ours.
func (l *loader) foreign(key string, value given, taken map[string]bool) {
	old, ok := l.findLegacy(key)
	switch {
	case !ok:
		l.fault(key, value.origin, l.unknown(key))
	case old.renamed == "":
		l.note(&l.report.Ignored, key, value.origin, "is ignored: "+old.hint)
	case taken[old.renamed]:
		l.note(&l.report.Warnings, key, value.origin, "is ignored: "+old.renamed+" is set too")
	default:
		taken[old.renamed] = true
		l.values[old.renamed] = value
		l.report.origins[old.renamed] = value.origin
		l.note(&l.report.Renamed, key, value.origin, "is now named "+l.root+"."+old.renamed)
	}
}

func (l *loader) findLegacy(key string) (legacy, bool) {
	for _, old := range l.legacy {
		if old.covers(key) {
			return old, true
		}
	}
	return legacy{}, false
}
