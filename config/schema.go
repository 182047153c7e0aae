package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// leaf is one setting: a field of the tree and what its tags say.
type leaf struct {
	key      string // dotted, without the root
	path     []int  // index of the field in Config
	typ      reflect.Type
	def      string // default as text; {root} stands for the root
	pitaya   string // Pitaya's default where it differs
	unit     string
	validate string
	doc      string
}

// schema is every setting in the order of the tree, and the way to find one.
type schema struct {
	leaves []leaf
	byKey  map[string]int
}

func newSchema() *schema {
	s := &schema{byKey: map[string]int{}}
	s.walk(reflect.TypeFor[Config](), "", nil)
	for i, l := range s.leaves {
		s.byKey[l.key] = i
	}
	return s
}

func (s *schema) walk(t reflect.Type, prefix string, path []int) {
	for i := range t.NumField() {
		field := t.Field(i)
		part, tagged := field.Tag.Lookup("key")
		at := append(slices.Clip(path), i)
		switch {
		case field.Anonymous:
			s.walk(field.Type, prefix, at)
		case !tagged: // Config.Root
		case isSection(field.Type):
			s.walk(field.Type, prefix+part+".", at)
		default:
			s.leaves = append(s.leaves, newLeaf(field, prefix+part, at))
		}
	}
}

func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct }

func newLeaf(f reflect.StructField, key string, path []int) leaf {
	return leaf{
		key: key, path: path, typ: f.Type, def: f.Tag.Get("default"), pitaya: f.Tag.Get("pitaya"),
		unit: f.Tag.Get("unit"), validate: f.Tag.Get("validate"), doc: f.Tag.Get("doc"),
	}
}

func (s *schema) leaf(key string) (leaf, bool) {
	i, ok := s.byKey[key]
	if !ok {
		return leaf{}, false
	}
	return s.leaves[i], true
}

// isSection reports whether key is not a setting but has settings below it.
func (s *schema) isSection(key string) bool {
	for _, l := range s.leaves {
		if strings.HasPrefix(l.key, key+".") {
			return true
		}
	}
	return false
}

func (l leaf) field(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(l.path) }

func (l leaf) isMap() bool { return l.typ.Kind() == reflect.Map }

// secret reports whether values of the setting are never printed.
func (l leaf) secret() bool { return l.typ == reflect.TypeFor[Secret]() }

// defaultText is the default under a root.
func (l leaf) defaultText(root string) string { return strings.ReplaceAll(l.def, "{root}", root) }

// envName is the environment variable of a key.
func envName(root, key string) string {
	return strings.ToUpper(root + "_" + strings.ReplaceAll(key, ".", "_"))
}

// typeName is what the documentation calls the type of the setting.
func (l leaf) typeName() string {
	switch {
	case l.unit != "":
		return l.unit
	case l.typ == reflect.TypeFor[time.Duration]():
		return "duration"
	case l.secret():
		return "secret"
	case l.typ == reflect.TypeFor[map[string]string]():
		return "names and texts"
	case l.isMap():
		return "section per server type"
	case l.typ == reflect.TypeFor[[]string]():
		return "list"
	}
	switch l.typ.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list of metrics"
	default:
		return "text"
	}
}
