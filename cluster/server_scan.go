package cluster

import (
	"encoding/json"
	"strconv"
	"strings"
)

// serverScanner reads the value of a server as Pitaya and cereus write it: the
// keys of wire.md 6.1 in their order, and no white space. It is several times
// quicker than encoding/json, which matters when thousands of servers each list
// thousands. It accepts nothing that UnmarshalJSON would read otherwise.
type serverScanner struct {
	rest   string // every text of the server is a part of the one string
	failed bool   // the value is of another shape, or not JSON
}

// scanServer reports false when the value has to be read by UnmarshalJSON.
func scanServer(value []byte) (*Server, bool) {
	v := &serverScanner{rest: string(value)}
	s := &Server{State: StateUp}
	v.expect(`{"id":`)
	s.ID = v.text()
	v.expect(`,"type":`)
	s.Type = v.text()
	v.expect(`,"metadata":`)
	s.Metadata = v.texts()
	v.expect(`,"frontend":`)
	s.Frontend = v.boolean()
	v.expect(`,"hostname":`)
	s.Hostname = v.text()
	if v.accept(`,"cereus":`) {
		s.extend(v.extension())
	}
	v.expect(`}`)
	return s, !v.failed && v.rest == ""
}

func (v *serverScanner) extension() (ext serverExtension) {
	v.expect(`{"v":`)
	ext.Version = v.number()
	v.expect(`,"nonce":`)
	ext.Nonce = v.text()
	v.expect(`,"caps":`)
	ext.Caps = v.list()
	v.expect(`,"state":`)
	ext.State = State(v.text())
	v.expect(`,"weight":`)
	ext.Weight = v.number()
	v.expect(`}`)
	return ext
}

// accept goes past the literal if it comes next.
func (v *serverScanner) accept(literal string) bool {
	rest, found := strings.CutPrefix(v.rest, literal)
	v.rest = rest
	return found
}

func (v *serverScanner) expect(literal string) {
	if !v.accept(literal) {
		v.fail()
	}
}

// fail ends the reading: nothing more comes next.
func (v *serverScanner) fail() { v.failed, v.rest = true, "" }

func (v *serverScanner) boolean() bool {
	if v.accept("true") {
		return true
	}
	v.expect("false")
	return false
}

// number reads an integer that is not negative.
func (v *serverScanner) number() int {
	digits := 0
	for digits < len(v.rest) && v.rest[digits] >= '0' && v.rest[digits] <= '9' {
		digits++
	}
	n, err := strconv.Atoi(v.rest[:digits])
	if err != nil || digits > 1 && v.rest[0] == '0' {
		v.fail()
		return 0
	}
	v.rest = v.rest[digits:]
	return n
}

// texts reads an object of strings, or null.
func (v *serverScanner) texts() map[string]string {
	texts := map[string]string{}
	if v.accept("null") {
		return texts
	}
	for v.expect("{"); !v.accept("}") && !v.failed; {
		if len(texts) > 0 {
			v.expect(",")
		}
		key := v.text()
		v.expect(":")
		texts[key] = v.text()
	}
	return texts
}

// list reads an array of strings.
func (v *serverScanner) list() []string {
	list := []string{}
	for v.expect("["); !v.accept("]") && !v.failed; {
		if len(list) > 0 {
			v.expect(",")
		}
		list = append(list, v.text())
	}
	return list
}

// text reads a string.
func (v *serverScanner) text() string {
	v.expect(`"`)
	for i := range len(v.rest) {
		switch c := v.rest[i]; {
		case c == '"':
			text := v.rest[:i]
			v.rest = v.rest[i+1:]
			return text
		case c < ' ', c == '\\', c >= 0x80:
			return v.oddText(i)
		}
	}
	v.fail()
	return ""
}

// oddText reads a string whose odd part, an escape or beyond ASCII, begins at i.
func (v *serverScanner) oddText(i int) (text string) {
	for ; i < len(v.rest) && v.rest[i] != '"'; i++ {
		if v.rest[i] == '\\' {
			i++
		}
	}
	if i >= len(v.rest) || json.Unmarshal([]byte(`"`+v.rest[:i+1]), &text) != nil {
		v.fail()
		return ""
	}
	v.rest = v.rest[i+1:]
	return text
}
