package repl

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// payload reads what was typed after a route.
func payload(text, serializer string) ([]byte, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "hex":
		data, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		if err != nil {
			return nil, fmt.Errorf("the payload is not hex: %w", err)
		}
		return data, nil
	case "base64":
		data, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return nil, fmt.Errorf("the payload is not base64: %w", err)
		}
		return data, nil
	case "text":
		return []byte(rest), nil
	}
	switch {
	case text == "":
		return nil, nil
	case serializer != "json":
		return nil, fmt.Errorf("the server's serializer is %s: give the payload as hex:HEX, base64:BASE64 or text:TEXT", serializer)
	case !json.Valid([]byte(text)):
		return nil, errors.New("the payload is not JSON: texts need quotes; other bytes are text:TEXT, hex:HEX or base64:BASE64")
	}
	return []byte(text), nil
}

// style is how JSON is shown.
type style int

const (
	pretty style = iota
	compact
)

// show makes a payload readable: JSON as JSON, other bytes as hex or base64, in
// the forms that payload reads.
func (s *session) show(data []byte, how style) string {
	if len(data) == 0 {
		return "(empty)"
	}
	var b bytes.Buffer
	switch {
	case how == pretty && json.Indent(&b, data, "", "  ") == nil:
		return clean(b.String())
	case how == compact && json.Compact(&b, data) == nil:
		return clean(b.String())
	case s.p.Base64:
		return "base64:" + base64.StdEncoding.EncodeToString(data)
	}
	return "hex:" + hex.EncodeToString(data)
}

// clean keeps what a server sent from steering the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}
