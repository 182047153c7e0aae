package acceptor

import "sync/atomic"

// inbox holds the bytes of one connection that came and were not handed out.
// It has no buffer while there are none. Bytes are read into a large scratch
// block; what is left of it when the connection has to wait moves into a held
// block, small and charged to the budget. Only the goroutine in Next uses it,
// except for charged.
type inbox struct {
	memory  *memory
	current *block // buffered bytes are current.bytes[r:w]; nil when none
	scratch *block // lent to a read that is under way
	r, w    int
	need    int          // bytes wanted at r before it makes sense to go on
	held    bool         // current is a held block
	charged atomic.Int64 // what current counts in the budget
}

// bytes are the buffered bytes.
func (in *inbox) bytes() []byte {
	if in.current == nil {
		return nil
	}
	return in.current.bytes[in.r:in.w]
}

// advance drops the first n buffered bytes. They stay readable until the next
// prepare.
func (in *inbox) advance(n int) { in.r += n }

// prepare gets ready to wait until need bytes are buffered, which is more than
// there are now.
func (in *inbox) prepare(need int) error {
	in.need = need
	have := in.w - in.r
	if have == 0 {
		in.drop()
		return nil
	}
	size := min(need, max(firstHold, 2*have))
	if in.held && size <= len(in.current.bytes) {
		if size > len(in.current.bytes)-in.r {
			in.slide()
		}
		return nil
	}
	return in.hold(size)
}

// slide moves the buffered bytes to the start of the block.
func (in *inbox) slide() {
	copy(in.current.bytes, in.bytes())
	in.r, in.w = 0, in.w-in.r
}

// hold moves the buffered bytes into a held block of at least size bytes.
func (in *inbox) hold(size int) error {
	to := in.memory.borrow(size)
	n := int64(len(to.bytes))
	if !in.memory.charge(n - in.charged.Load()) {
		in.memory.giveBack(to)
		return ErrBudget
	}
	in.charged.Store(0) // what it was is part of the new charge
	have := copy(to.bytes, in.bytes())
	in.drop()
	in.charged.Store(n)
	in.current, in.held, in.w = to, true, have
	return nil
}

// drop gives the current block back.
func (in *inbox) drop() {
	in.uncharge()
	in.memory.giveBack(in.current)
	in.current, in.held, in.r, in.w = nil, false, 0, 0
}

// uncharge frees what the connection counts in the budget. Any goroutine may
// call it.
func (in *inbox) uncharge() {
	if n := in.charged.Swap(0); n != 0 {
		in.memory.held.Add(-n)
	}
}

// begin returns where to read to. commit or abort follows.
func (in *inbox) begin() []byte {
	if in.need > scratchSize && in.held {
		return in.current.bytes[in.w:]
	}
	in.scratch = in.memory.borrow(scratchSize)
	return in.scratch.bytes[in.w-in.r:]
}

// abort ends a read that brought nothing.
func (in *inbox) abort() {
	in.memory.giveBack(in.scratch)
	in.scratch = nil
}

// commit ends a read that put n bytes where begin said.
func (in *inbox) commit(n int) {
	if in.scratch == nil {
		in.w += n
		return
	}
	have := in.w - in.r
	if have > 0 && have+n < in.need && in.w+n <= len(in.current.bytes) {
		in.w += copy(in.current.bytes[in.w:], in.scratch.bytes[have:have+n])
		in.abort()
		return
	}
	copy(in.scratch.bytes, in.bytes())
	to := in.scratch
	in.scratch = nil
	in.drop()
	in.current, in.w = to, have+n
}

// preload buffers bytes that came before the first read.
func (in *inbox) preload(b []byte) {
	if len(b) == 0 {
		return
	}
	in.current = in.memory.borrow(len(b))
	in.w = copy(in.current.bytes, b)
}
