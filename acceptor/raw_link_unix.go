//go:build unix

package acceptor

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rawLink is a plain TCP socket. Its reader waits in RawConn.Read without a
// buffer.
type rawLink struct {
	rawReader
	tcp    *net.TCPConn
	shared *shared
}

// rawReader waits on a socket and reads into an inbox.
type rawReader struct {
	raw     syscall.RawConn
	in      *inbox // where the read under way goes
	err     error  // its result
	attempt func(fd uintptr) bool
}

// newLink returns the link of a TCP connection.
func newLink(tcp *net.TCPConn, s *shared) (link, error) {
	l := &rawLink{tcp: tcp, shared: s}
	return l, l.init(tcp)
}

func (r *rawReader) init(tcp *net.TCPConn) error {
	raw, err := tcp.SyscallConn()
	r.raw = raw
	r.attempt = r.tryRead
	return err
}

func (r *rawReader) fill(in *inbox) error {
	r.in, r.err = in, nil
	if err := r.raw.Read(r.attempt); err != nil {
		return err
	}
	return r.err
}

// tryRead is called when the socket may have bytes, and before the first wait.
// It must try every time: the poller's readiness was cleared before the call
// and is told once per edge only.
func (r *rawReader) tryRead(fd uintptr) bool {
	n, err := readSocket(int(fd), r.in.begin())
	if n > 0 {
		r.in.commit(n)
		return true
	}
	r.in.abort()
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false
	case err == nil:
		r.err = io.EOF
	default:
		r.err = err
	}
	return true
}

func readSocket(fd int, dst []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, dst)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func (l *rawLink) tryWrite(b []byte) (int, error) { return l.shared.writeNow(l.raw, b) }

func (l *rawLink) writeAll(bufs [][]byte, deadline time.Time) error {
	n, err := l.shared.writeManyNow(l.raw, bufs)
	if err != nil {
		return err
	}
	if bufs = consume(bufs, n); len(bufs) == 0 {
		return nil
	}
	if err := l.tcp.SetWriteDeadline(deadline); err != nil {
		return err
	}
	rest := net.Buffers(bufs)
	if _, err := rest.WriteTo(l.tcp); err != nil {
		return err
	}
	return l.tcp.SetWriteDeadline(time.Time{})
}

func (l *rawLink) shut(last []byte) {
	if len(last) > 0 {
		_, _ = l.shared.writeNow(l.raw, last)
	}
	l.shared.hangUp(l.tcp, l.raw)
}

func (l *rawLink) closeWrite() error { return l.tcp.CloseWrite() }

func (l *rawLink) probe() (bool, error) { return probeSocket(l.raw) }

// hangUp closes a socket. Bytes that nobody read are taken out first, as far as
// one buffer goes: the kernel answers a close with unread bytes by a reset,
// which can take from the client what was written last.
func (s *shared) hangUp(tcp *net.TCPConn, raw syscall.RawConn) {
	_ = tcp.CloseWrite()
	b := s.memory.borrow(scratchSize)
	_ = raw.Control(func(fd uintptr) { _, _ = readSocket(int(fd), b.bytes) })
	s.memory.giveBack(b)
	_ = tcp.Close()
}

// turnAway closes a connection that never became a Conn, so that the client
// can still read what it was answered.
func (s *shared) turnAway(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			s.hangUp(tcp, raw)
			return
		}
	}
	_ = nc.Close()
}

// probeSocket asks the kernel about a socket without reading from it.
func probeSocket(raw syscall.RawConn) (unread bool, err error) {
	fds := []unix.PollFd{{Events: unix.POLLIN}}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		_, failed = unix.Poll(fds, 0)
	}); err != nil {
		return false, ErrClosed
	}
	if failed != nil && !errors.Is(failed, unix.EINTR) {
		return false, failed
	}
	if fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0 {
		return false, ErrBroken
	}
	return fds[0].Revents&unix.POLLIN != 0, nil
}
