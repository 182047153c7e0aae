package metrics

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// other is the label value that stands for all values beyond a bound.
const other = "other"

// bounded is a map that is read without a lock and grows to at most limit
// entries. Every key beyond shares one value.
type bounded[V any] struct {
	limit int
	build func(label string) V
	rest  func() V // the shared value, built at its first use

	mu      sync.Mutex // guards growing: the copy and the swap of entries
	entries atomic.Pointer[map[string]V]
}

func newBounded[V any](limit int, rest string, build func(label string) V) *bounded[V] {
	b := &bounded[V]{limit: limit, build: build}
	b.rest = sync.OnceValue(func() V { return build(rest) })
	b.entries.Store(&map[string]V{})
	return b
}

// find returns the value of a label that was added, else the shared one.
func (b *bounded[V]) find(label string) V {
	if v, ok := (*b.entries.Load())[label]; ok {
		return v
	}
	return b.rest()
}

// value returns the value of label, which it makes when there is room.
func (b *bounded[V]) value(label string) V {
	if v, ok := (*b.entries.Load())[label]; ok {
		return v
	}
	if b.add(label) {
		return (*b.entries.Load())[label]
	}
	return b.rest()
}

// add makes the value of label. It reports false when there is no room.
func (b *bounded[V]) add(label string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.entries.Load()
	if _, ok := old[label]; ok {
		return true
	}
	if len(old) >= b.limit {
		return false
	}
	grown := make(map[string]V, len(old)+1)
	maps.Copy(grown, old)
	// client_golang panics on a label that is not UTF-8.
	grown[label] = b.build(strings.ToValidUTF8(label, "\uFFFD"))
	b.entries.Store(&grown)
	return true
}
