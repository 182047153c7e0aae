package config

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// wanted is the error of a value that does not fit: what would be right.
type wanted string

func (w wanted) Error() string { return "want " + string(w) }

// Errors that convert returns besides wanted.
const (
	wantBool     = wanted("true or false")
	wantInt      = wanted("a whole number")
	wantNumber   = wanted("a number")
	wantSize     = wanted("a number of bytes such as 65536, or one with KiB, MiB or GiB such as 64KiB")
	wantText     = wanted("a text")
	wantDuration = wanted("a duration with a unit, such as 500ms, 5s or 2m")
	wantList     = wanted("a list, or texts separated by commas")
	wantMap      = wanted("a section of names and texts, or name=text separated by commas")
)

// bareNumber is a duration without a unit, in nanoseconds.
type bareNumber time.Duration

func (b bareNumber) Error() string { return wantDuration.Error() }

// convert turns a value from a file, the environment or code into the type of
// the setting. Types are as weak as in Pitaya: "false" is a bool, "5" a number.
func (l leaf) convert(raw any) (reflect.Value, error) {
	if v := reflect.ValueOf(raw); v.IsValid() && v.Type() == l.typ {
		return v, nil
	}
	v, err := l.parse(raw)
	if v == nil {
		return reflect.Value{}, err
	}
	return reflect.ValueOf(v).Convert(l.typ), err
}

func (l leaf) parse(raw any) (any, error) {
	switch l.typ {
	case reflect.TypeFor[time.Duration]():
		return parseDuration(raw)
	case reflect.TypeFor[SerializerType]():
		return parseSerializer(raw)
	case reflect.TypeFor[[]string]():
		return parseList(raw)
	case reflect.TypeFor[map[string]string]():
		return parseMap(raw)
	}
	switch l.typ.Kind() {
	case reflect.Bool:
		return parseBool(raw)
	case reflect.Int:
		return parseInt(raw, l.unit == "bytes")
	case reflect.Float64:
		return parseFloat(raw)
	case reflect.String:
		return parseText(raw)
	default:
		return parseSpecs(raw, l.typ, l.typeName())
	}
}

// scalar is the text of a value that is neither a list nor a map.
func scalar(raw any) (string, bool) {
	if raw == nil {
		return "", false
	}
	switch v := reflect.ValueOf(raw); v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.Struct, reflect.Pointer, reflect.Func, reflect.Chan:
		return "", false
	case reflect.String:
		return strings.TrimSpace(v.String()), true // not fmt: a Secret hides from it
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64), true
	default:
		return fmt.Sprint(raw), true
	}
}

func parseBool(raw any) (any, error) {
	text, _ := scalar(raw)
	b, err := strconv.ParseBool(text)
	if err != nil {
		return nil, wantBool
	}
	return b, nil
}

func parseInt(raw any, bytes bool) (any, error) {
	text, _ := scalar(raw)
	want, unit := wantInt, int64(1)
	if bytes {
		want = wantSize
		text, unit = splitSize(text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n*unit/unit != n {
		return nil, want
	}
	return int(n * unit), nil
}

func parseFloat(raw any) (any, error) {
	text, _ := scalar(raw)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, wantNumber
	}
	return f, nil
}

func splitSize(text string) (string, int64) {
	for i, suffix := range []string{"KiB", "MiB", "GiB"} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			return strings.TrimSpace(number), 1 << (10 * (i + 1))
		}
	}
	return text, 1
}

func parseText(raw any) (any, error) {
	if s, ok := scalar(raw); ok {
		return s, nil
	}
	return nil, wantText
}

func parseDuration(raw any) (any, error) {
	if d, ok := raw.(time.Duration); ok {
		return d, nil
	}
	text, ok := scalar(raw)
	if !ok {
		return nil, wantDuration
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && text != "0" {
		return time.Duration(n), bareNumber(n)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, wantDuration
	}
	return d, nil
}

func parseSerializer(raw any) (any, error) {
	text, _ := scalar(raw)
	switch strings.ToLower(text) {
	case "1", "json":
		return SerializerJSON, nil
	case "2", "protobuf":
		return SerializerProtobuf, nil
	default:
		return nil, wanted("json (1) or protobuf (2)")
	}
}

func parseList(raw any) (any, error) {
	if text, ok := scalar(raw); ok {
		return splitList(text), nil
	}
	v := reflect.ValueOf(raw)
	if !v.IsValid() || v.Kind() != reflect.Slice {
		return nil, wantList
	}
	list := make([]string, v.Len())
	for i := range list {
		text, ok := scalar(v.Index(i).Interface())
		if !ok {
			return nil, wantList
		}
		list[i] = text
	}
	return list, nil
}

func splitList(text string) []string {
	if text == "" {
		return []string{}
	}
	parts := strings.Split(text, ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
	}
	return parts
}

func parseMap(raw any) (any, error) {
	m := map[string]string{}
	if text, ok := scalar(raw); ok {
		for _, pair := range splitList(text) {
			name, value, found := strings.Cut(pair, "=")
			if !found {
				return nil, wantMap
			}
			m[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
		return m, nil
	}
	v := reflect.ValueOf(raw)
	if !v.IsValid() || v.Kind() != reflect.Map {
		return nil, wantMap
	}
	for _, k := range v.MapKeys() {
		text, ok := scalar(v.MapIndex(k).Interface())
		if !ok {
			return nil, wantMap
		}
		m[fmt.Sprint(k.Interface())] = text
	}
	return m, nil
}

// parseSpecs reads a list of custom metrics, or a section per server type, which
// the environment has as JSON.
func parseSpecs(raw any, typ reflect.Type, name string) (any, error) {
	if text, ok := scalar(raw); ok {
		raw = nil
		if text != "" && json.Unmarshal([]byte(text), &raw) != nil {
			return nil, wanted("a " + name + ", or the same as JSON")
		}
		if raw == nil {
			return empty(typ), nil
		}
	}
	out := reflect.New(typ)
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: out.Interface(), WeaklyTypedInput: true, ErrorUnused: true,
	})
	if err == nil {
		err = decoder.Decode(raw)
	}
	if err != nil {
		return nil, wanted(fmt.Sprintf("a %s: %v", name, err))
	}
	return out.Elem().Interface(), nil
}

func empty(typ reflect.Type) any {
	if typ.Kind() == reflect.Map {
		return reflect.MakeMap(typ).Interface()
	}
	return reflect.MakeSlice(typ, 0, 0).Interface()
}
