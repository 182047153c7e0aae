package dispatch

import (
	"encoding/json"
	"maps"
	"sync"
)

// others are the members of metadata that are not well known. They are read when
// a handler asks for one, or makes a call that takes them along: most do neither.
type others struct {
	object string // that they came in; "": none
	once   sync.Once
	all    map[string]json.RawMessage
}

// values must not be changed: all contexts of the call share them.
func (o *others) values() map[string]json.RawMessage {
	if o == nil {
		return nil
	}
	o.once.Do(o.read)
	return o.all
}

func (o *others) read() {
	if o.object == "" {
		return
	}
	_ = json.Unmarshal([]byte(o.object), &o.all) // it is a valid object
	maps.DeleteFunc(o.all, func(key string, _ json.RawMessage) bool { return wellKnown(key) })
}

// with are o and one more.
func (o *others) with(key string, raw json.RawMessage) *others {
	before := o.values()
	all := make(map[string]json.RawMessage, len(before)+1)
	maps.Copy(all, before)
	all[key] = raw
	return &others{all: all}
}
