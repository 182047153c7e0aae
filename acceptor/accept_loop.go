package acceptor

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Serve accepts until Close, see Acceptor.
func (s *server) Serve(handle func(*Conn)) error {
	s.mu.Lock()
	l, closed := s.listener, s.closed
	s.mu.Unlock()
	if closed {
		return nil
	}
	if l == nil {
		return ErrNotListening
	}
	var wait backoff
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.admit(nc, handle)
		case s.isClosing():
			return nil
		case !passing(err):
			return fmt.Errorf("acceptor: accept on %s: %w", s.address, err)
		default:
			s.options.metrics.AcceptFailed()
			wait = wait.next()
			s.options.log.WithError(err).WithField("retry", time.Duration(wait)).Warn("accept failed, trying again")
			if !s.pause(time.Duration(wait)) {
				return nil
			}
		}
	}
}

func (s *server) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// pause waits for d and reports true, or false when the acceptor is closed.
func (s *server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closing:
		return false
	}
}

// backoff is the wait after a failed accept: 5 ms, doubling, up to 1 s.
type backoff time.Duration

func (b backoff) next() backoff {
	return min(max(2*b, backoff(5*time.Millisecond)), backoff(time.Second))
}

// passing reports whether an accept may succeed later. Those of the network are
// of the one connection, and Linux passes them on.
func passing(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
		syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM, syscall.EINTR, syscall.ETIMEDOUT,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
		syscall.ENOPROTOOPT, syscall.EOPNOTSUPP,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
