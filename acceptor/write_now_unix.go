//go:build unix

package acceptor

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// mostBuffers is IOV_MAX: what one writev takes.
const mostBuffers = 1024

// writeOp is a write that does not wait.
type writeOp struct {
	b       []byte
	bufs    [][]byte // instead of b
	n       int
	err     error
	attempt func(fd uintptr)
}

// writeNow writes what the socket takes now. It goes through Control, so that
// neither a deadline that passed long ago nor another writer matters.
func (s *shared) writeNow(raw syscall.RawConn, b []byte) (int, error) {
	return s.writeOnce(raw, b, nil)
}

// writeManyNow is writeNow for several buffers. Few bytes are joined, which
// costs less than a writev of many small pieces.
func (s *shared) writeManyNow(raw syscall.RawConn, bufs [][]byte) (int, error) {
	switch {
	case len(bufs) == 1:
		return s.writeNow(raw, bufs[0])
	case !short(bufs):
		return s.writeOnce(raw, nil, bufs[:min(len(bufs), mostBuffers)])
	}
	b := s.memory.borrow(scratchSize)
	defer s.memory.giveBack(b)
	return s.writeNow(raw, b.bytes[:gather(b.bytes, bufs)])
}

// short reports whether bufs fit into one scratch buffer.
func short(bufs [][]byte) bool {
	n := 0
	for _, b := range bufs {
		if n += len(b); n > scratchSize {
			return false
		}
	}
	return true
}

func (s *shared) writeOnce(raw syscall.RawConn, b []byte, bufs [][]byte) (int, error) {
	op, ok := s.writes.Get().(*writeOp)
	if !ok {
		op = &writeOp{}
		op.attempt = op.run
	}
	op.b, op.bufs = b, bufs
	err := raw.Control(op.attempt)
	n, failed := op.n, op.err
	*op = writeOp{attempt: op.attempt}
	s.writes.Put(op)
	if err != nil {
		return n, err
	}
	return n, failed
}

func (op *writeOp) run(fd uintptr) {
	if len(op.b) == 0 && len(op.bufs) == 0 {
		return
	}
	for {
		n, err := op.write(int(fd))
		switch err {
		case nil:
			op.n = n
			return
		case syscall.EINTR:
		case syscall.EAGAIN:
			return
		default:
			op.err = err
			return
		}
	}
}

func (op *writeOp) write(fd int) (int, error) {
	if op.bufs != nil {
		return unix.Writev(fd, op.bufs)
	}
	return syscall.Write(fd, op.b)
}
