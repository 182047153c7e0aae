package acceptor

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	smallestClass = 8  // 256 bytes
	largestClass  = 17 // 128 KiB; more is not pooled
	classes       = largestClass - smallestClass + 1
	scratchSize   = 16 << 10 // what one read takes at most, but for larger packets
	firstHold     = 4 << 10  // what an unfinished packet gets before that much has come
)

// block is a pooled buffer.
type block struct{ bytes []byte }

// memory lends buffers to the connections of one acceptor.
type memory struct {
	pools  [classes]sync.Pool // of *block, by size
	held   atomic.Int64       // bytes of blocks that hold unfinished packets
	budget int64
}

// class is the index of the pool for n bytes, and whether there is one.
func class(n int) (int, bool) {
	if n <= 1<<smallestClass {
		return 0, true
	}
	c := bits.Len(uint(n-1)) - smallestClass
	return c, c < classes
}

// borrow returns a block of at least n bytes.
func (m *memory) borrow(n int) *block {
	c, ok := class(n)
	if !ok {
		return &block{bytes: make([]byte, n)}
	}
	if b, ok := m.pools[c].Get().(*block); ok {
		return b
	}
	return &block{bytes: make([]byte, 1<<(c+smallestClass))}
}

// giveBack takes a block that nobody uses any more; nil is fine.
func (m *memory) giveBack(b *block) {
	if b == nil {
		return
	}
	if c, ok := class(len(b.bytes)); ok {
		m.pools[c].Put(b)
	}
}

// charge adds n bytes to what unfinished packets hold, unless the budget is
// exceeded then. What is refused is never counted: others would be refused for it.
func (m *memory) charge(n int64) bool {
	for {
		held := m.held.Load()
		if held+n > m.budget {
			return false
		}
		if m.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}
