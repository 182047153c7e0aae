//go:build unix

package cluster

import (
	"net"
	"syscall"
)

// rawSocket is what socketWrite needs of conn, or nil.
func rawSocket(conn net.Conn) syscall.RawConn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// socketWrite is a write that does not wait. The zero value is ready.
type socketWrite struct {
	b   []byte
	n   int
	err error
	run func(fd uintptr)
}

// do writes what the socket takes of b. It goes through Control, so that
// a deadline that passed long ago does not matter.
func (w *socketWrite) do(raw syscall.RawConn, b []byte) (int, error) {
	if w.run == nil {
		w.run = w.write
	}
	w.b, w.n, w.err = b, 0, nil
	err := raw.Control(w.run)
	w.b = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

func (w *socketWrite) write(fd uintptr) {
	for w.n < len(w.b) {
		n, err := syscall.Write(int(fd), w.b[w.n:])
		switch err {
		case nil:
			w.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return
		default:
			w.err = err
			return
		}
	}
}
