package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Report is what Load has to tell besides the configuration. Its notes are also
// with the configuration, see Config.Notes: an app logs them.
type Report struct {
	// Ignored are keys that are accepted and mean nothing here.
	Ignored []Note
	// Renamed are keys that have another name now; their values count.
	Renamed []Note
	// Warnings are settings that do something other than one may expect.
	Warnings []Note

	root    string
	origins map[string]string
}

// Note is one line of a Report.
type Note struct {
	Key    string // with the root
	Origin string // "file x.yaml", "environment CEREUS_X" or "code"
	Text   string
}

// String is the note in one line.
func (n Note) String() string { return fmt.Sprintf("%s (%s): %s", n.Key, n.Origin, n.Text) }

// notes are all notes, the warnings first.
func (r *Report) notes() []Note { return slices.Concat(r.Warnings, r.Renamed, r.Ignored) }

// Notes are those of the Report with which Load returned this configuration:
// warnings first, then what was renamed, then what was ignored. cereus.New logs
// each of them. A configuration that was not loaded has none.
func (c *Config) Notes() []Note { return slices.Clone(c.notes) }

// Explicit reports whether the key, with or without the root, was set by code,
// environment or file, be it to its default.
func (r *Report) Explicit(key string) bool { return r.Origin(key) != "" }

// Origin tells where the key, with or without the root, was set: "code",
// "environment NAME" or "file NAME", "" for a default.
func (r *Report) Origin(key string) string {
	return r.origins[strings.TrimPrefix(strings.ToLower(key), r.root+".")]
}

// Fault is one thing that is wrong with a configuration. Load and Validate
// return all of them in one error, which errors.As looks into.
type Fault struct {
	Key    string // with the root
	Value  string // as it was given; hidden when it is secret, "" when it does not matter
	Want   string // what would be right
	Origin string // "file x.yaml", "environment CEREUS_X", "code" or "default"
}

// Error is the fault in one line.
func (f *Fault) Error() string {
	text := "config: " + f.Key
	if f.Value != "" {
		text += " = " + f.Value
	}
	if f.Origin != "" {
		text += " (" + f.Origin + ")"
	}
	return text + ": " + f.Want
}

// faultList is all faults of a configuration.
type faultList []error

// join makes one error of faults, nil of none.
func join(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return faultList(faults)
}

// Error is the faults, one a line, under a line that counts them.
func (l faultList) Error() string {
	text := errors.Join(l...).Error()
	if len(l) == 1 {
		return text
	}
	return fmt.Sprintf("%d faults in the configuration:\n%s", len(l), text)
}

// Unwrap is the faults one by one.
func (l faultList) Unwrap() []error { return l }

// at says which setting the fault is about and where its value came from.
func (f *Fault) at(key, origin string) *Fault {
	f.Key, f.Origin = key, origin
	return f
}

// show is a value as errors print it: short, quoted, without credentials.
func (l leaf) show(raw any) string {
	if l.secret() {
		return hidden
	}
	text := printable(raw)
	if runes := []rune(text); len(runes) > 80 {
		text = string(runes[:80]) + "..."
	}
	return fmt.Sprintf("%q", text)
}

// printable is a value as text without the credentials of URLs.
func printable(raw any) string {
	if text, ok := scalar(raw); ok {
		return maskUser(text)
	}
	list, err := parseList(raw)
	if err != nil {
		return maskUser(fmt.Sprint(raw))
	}
	items := list.([]string)
	for i := range items {
		items[i] = maskUser(items[i])
	}
	return strings.Join(items, ",")
}

// maskUser hides the user and password, or token, of URLs.
func maskUser(text string) string {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	scheme := ""
	if i := strings.Index(text[:at], "://"); i >= 0 {
		scheme = text[:i+3]
	}
	return scheme + hidden + text[at:]
}
