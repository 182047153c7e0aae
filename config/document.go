package config

import (
	"fmt"
	"strings"
)

// Document renders docs/configuration.md.
func Document() string {
	var b strings.Builder
	b.WriteString(documentHead)
	section := ""
	for _, l := range newSchema().leaves {
		if s := l.section(); s != section {
			section = s
			fmt.Fprintf(&b, "\n## %s\n\n| key | variable | default | type | what it does |\n|---|---|---|---|---|\n", section)
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n",
			l.key, envName(DefaultRoot, l.key), l.documentDefault(), l.documentType(), l.documentText())
	}
	b.WriteString(documentLegacy)
	for _, old := range legacyKeys() {
		if old.renamed != "" {
			fmt.Fprintf(&b, "| `%s` | now `%s` |\n", old.key, old.renamed)
		} else {
			fmt.Fprintf(&b, "| `%s` | ignored: %s |\n", old.key, old.hint)
		}
	}
	return b.String()
}

// section is the heading that a setting stands under.
func (l leaf) section() string {
	parts := strings.Split(l.key, ".")
	switch parts[0] {
	case "errors", "boot", "shutdown", "admin":
		return "Server"
	case "metrics":
		return "Metrics"
	case "groups":
		return "Groups"
	case "cluster":
		if parts[1] == "router" {
			return "Cluster: router"
		}
		if len(parts) > 3 {
			return "Cluster: " + strings.Join(parts[1:3], " ")
		}
		return "Cluster"
	default:
		return "Clients"
	}
}

func (l leaf) documentDefault() string {
	text := l.defaultText("<root>")
	if text == "" {
		text = "empty"
	} else {
		text = "`" + text + "`"
	}
	if l.pitaya != "" {
		text += " (Pitaya: `" + l.pitaya + "`)"
	}
	return text
}

// documentType is the type and the checks of the setting itself.
func (l leaf) documentType() string {
	text := []string{l.typeName()}
	for check := range strings.SplitSeq(l.validate, ",") {
		tag, param, _ := strings.Cut(check, "=")
		if tag == "dive" {
			break
		}
		if tag != "" && tag != "omitempty" && tag != "required" && tag != "min" {
			text = append(text, phrase(tag, param))
		}
	}
	return strings.ReplaceAll(strings.Join(text, ", "), "*", `\*`)
}

func (l leaf) documentText() string {
	var former []string
	for _, old := range legacyKeys() {
		if old.renamed == l.key {
			former = append(former, "`"+old.key+"`")
		}
	}
	if former == nil {
		return l.doc
	}
	return l.doc + " (Pitaya: " + strings.Join(former, ", ") + ")"
}

const documentHead = `# Configuration

<!-- Written by go generate ./config; change the struct tags of the package, not this file. -->

Settings come from code, the environment, a file and the defaults; the first of them that has a key wins. In a file
the keys stand under the root, ` + "`cereus`" + ` unless the application says otherwise: ` + "`heartbeat.interval`" + ` is

` + "```yaml" + `
cereus:
  heartbeat:
    interval: 30s
` + "```" + `

and ` + "`CEREUS_HEARTBEAT_INTERVAL`" + ` in the environment. YAML, JSON and TOML files are read. With the root ` + "`pitaya`" + ` a
Pitaya file loads unchanged, the variables begin with ` + "`PITAYA_`" + `, and the prefixes in etcd and NATS are Pitaya's.

* Durations have a unit: ` + "`500ms`, `5s`, `2m`, `1h30m`" + `. A bare number is refused; under the root ` + "`pitaya`" + ` it is nanoseconds,
  with a warning.
* Bytes are a number, or one with ` + "`KiB`, `MiB` or `GiB`" + `.
* Lists are YAML lists or texts separated by commas. Names and texts are a section, or ` + "`name=text`" + ` separated by commas.
  Lists of metrics and sections per server type are JSON in the environment. Keys and names in files are lower-cased.
* Empty environment variables count as not set.
* A key under the root, or a variable with its prefix, that is not known is an error that names the nearest known one.
  (Variables as Kubernetes makes them for services are left alone.) All faults come together.
`

const documentLegacy = `
## Keys of Pitaya that are accepted

They cover what is below them too. Each that is set is reported once at the start.

| key | here |
|---|---|
`
