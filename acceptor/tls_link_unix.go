//go:build unix

package acceptor

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// tlsLink is TLS on a TCP socket. While it waits it holds no buffer but those
// inside crypto/tls.
type tlsLink struct {
	tls    *tls.Conn
	socket *tlsSocket
}

// newTLSLink returns the link of a TLS connection, and the connection for the
// handshake. startPolling follows the handshake.
func newTLSLink(tcp *net.TCPConn, config *tls.Config, s *shared) (*tls.Conn, *tlsLink, error) {
	socket := &tlsSocket{TCPConn: tcp, shared: s, sealed: inbox{memory: &s.memory}}
	if err := socket.init(tcp); err != nil {
		return nil, nil, err
	}
	conn := tls.Server(socket, config)
	return conn, &tlsLink{tls: conn, socket: socket}, nil
}

func (l *tlsLink) connection() *tls.Conn { return l.tls }

func (l *tlsLink) startPolling() { l.socket.polling = true }

func (l *tlsLink) fill(in *inbox) error {
	for {
		n, err := l.tls.Read(in.begin())
		if n > 0 {
			in.commit(n)
			return nil
		}
		in.abort()
		if err != nil && !errors.Is(err, errWouldBlock) {
			return err
		}
		if err := l.socket.await(); err != nil {
			return err
		}
	}
}

func (l *tlsLink) tryWrite([]byte) (int, error) { return 0, nil }

func (l *tlsLink) writeAll(bufs [][]byte, deadline time.Time) error {
	if err := l.socket.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if err := l.writeGathered(bufs); err != nil {
		return err
	}
	return l.socket.SetWriteDeadline(time.Time{})
}

// writeGathered joins bufs as far as a record goes, so that many small frames
// cost one record and one system call.
func (l *tlsLink) writeGathered(bufs [][]byte) error {
	if len(bufs) == 1 {
		_, err := l.tls.Write(bufs[0])
		return err
	}
	b := l.socket.shared.memory.borrow(scratchSize)
	defer l.socket.shared.memory.giveBack(b)
	for len(bufs) > 0 {
		n := gather(b.bytes, bufs)
		bufs = consume(bufs, n)
		if _, err := l.tls.Write(b.bytes[:n]); err != nil {
			return err
		}
	}
	return nil
}

func (l *tlsLink) shut(last []byte) {
	l.socket.hurry()
	if len(last) > 0 {
		_, _ = l.tls.Write(last)
	}
	_ = l.tls.Close()
}

func (l *tlsLink) closeWrite() error {
	l.socket.hurry()
	_ = l.tls.CloseWrite()
	return l.socket.CloseWrite()
}

func (l *tlsLink) probe() (bool, error) { return probeSocket(l.socket.raw) }

// errWouldBlock is how tlsSocket says that nothing has come. crypto/tls keeps
// its state on an error that is temporary, and can be read again.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "acceptor: nothing to read" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// tlsSocket is the socket below crypto/tls.
type tlsSocket struct {
	*net.TCPConn
	rawReader
	shared  *shared
	sealed  inbox // what came and crypto/tls has not taken
	polling bool  // Read answers errWouldBlock rather than waiting
	hasty   atomic.Bool
	torn    atomic.Bool
}

// await waits until Read has bytes to give.
func (s *tlsSocket) await() error {
	s.sealed.drop()
	return s.fill(&s.sealed)
}

func (s *tlsSocket) Read(p []byte) (int, error) {
	if !s.polling {
		return s.TCPConn.Read(p)
	}
	b := s.sealed.bytes()
	if len(b) == 0 {
		s.sealed.drop()
		return 0, errWouldBlock
	}
	n := copy(p, b)
	s.sealed.advance(n)
	return n, nil
}

// hurry makes every write from now on a single attempt, and ends one that
// waits: what is left to write is a farewell.
func (s *tlsSocket) hurry() {
	s.hasty.Store(true)
	_ = s.TCPConn.SetWriteDeadline(time.Unix(1, 0))
}

func (s *tlsSocket) Write(p []byte) (n int, err error) {
	if s.torn.Load() {
		return 0, ErrTorn
	}
	if s.hasty.Load() {
		n, err = s.shared.writeNow(s.raw, p)
	} else {
		n, err = s.TCPConn.Write(p)
	}
	if n < len(p) {
		s.torn.Store(true)
		if err == nil {
			err = ErrTorn
		}
	}
	return n, err
}

// SetWriteDeadline does nothing after hurry: crypto/tls sets one for its own
// farewell, which would wait.
func (s *tlsSocket) SetWriteDeadline(t time.Time) error {
	if s.hasty.Load() {
		return nil
	}
	return s.TCPConn.SetWriteDeadline(t)
}

func (s *tlsSocket) Close() error {
	s.shared.hangUp(s.TCPConn, s.raw)
	return nil
}
