package cluster

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of natsSocket.
const (
	natsStall    = time.Second // a write that takes longer breaks the socket
	natsOutKept  = 1 << 20     // room that an empty buffer keeps
	natsOutLimit = 64 << 10    // the writer writes at the latest when so much has gathered
)

// natsSocket is one TCP connection of a link. It tells its link when it breaks.
//
// Where NATS's bytes travel as they are, without TLS and WebSocket, requests and
// replies do not go through Publish of nats.go: that writes to the socket under
// the lock of its connection, for as long as a stalled server lets it, and leaves
// the writing to yet another goroutine. They are appended to a buffer here, as is
// what nats.go writes, and whoever appended tries a write that cannot wait. What
// the socket does not take is left to the writer, the only one that ever waits.
type natsSocket struct {
	net.Conn
	link   *natsLink
	number uint64
	raw    syscall.RawConn // nil: there is no write that does not wait
	once   sync.Once
	plain  bool // nats.go speaks through it unwrapped; set while it connects

	// gathers is true from the first epoch on, if the socket is plain.
	gathers atomic.Bool

	mu      sync.Mutex // guards what follows; held over a write only when that cannot wait
	out     []byte     // waits to be written
	spare   []byte     // out's other half
	writing bool       // the writer is in a write that waits
	failed  error      // nothing more is written
	attempt socketWrite
}

func newNATSSocket(conn net.Conn, link *natsLink) *natsSocket {
	s := &natsSocket{Conn: conn, link: link, number: link.dialed.Add(1)}
	s.raw = rawSocket(conn)
	return s
}

// gather makes s take messages, if it can, once nats.go is done with connecting.
func (s *natsSocket) gather() bool {
	if !s.plain {
		return false
	}
	s.mu.Lock() // waits for a write of nats.go
	defer s.mu.Unlock()
	s.gathers.Store(true)
	return true
}

// Write is called by nats.go, under its lock.
func (s *natsSocket) Write(p []byte) (int, error) {
	if !s.gathers.Load() {
		return s.writeThrough(p)
	}
	s.mu.Lock()
	if s.failed == nil {
		s.out = append(s.out, p...)
		s.tryLocked()
	}
	rest, err := s.restLocked(), s.failed
	s.mu.Unlock()
	if err != nil {
		s.broke()
		return 0, err
	}
	if rest {
		s.link.t.leave(s)
	}
	return len(p), nil
}

// writeThrough writes as nats.go asks, while it connects or when what it writes
// is wrapped in something else.
func (s *natsSocket) writeThrough(p []byte) (int, error) {
	s.plain = s.plain || bytes.HasPrefix(p, []byte("CONNECT "))
	if s.plain {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		s.broke()
	}
	return n, err
}

// publish takes m. It reports false when the socket broke and m was not sent.
func (s *natsSocket) publish(m *outgoing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || s.isBroken() {
		return false
	}
	s.out = appendFrame(s.out, m)
	return true
}

// full reports whether the writer should write before it goes on.
func (s *natsSocket) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.out) >= natsOutLimit
}

// try writes what the socket takes at once, and reports whether something is
// left for the writer.
func (s *natsSocket) try() (rest bool) {
	s.mu.Lock()
	s.tryLocked()
	rest, err := s.restLocked(), s.failed
	s.mu.Unlock()
	if err != nil {
		s.fail()
	}
	return rest
}

func (s *natsSocket) restLocked() bool { return len(s.out) > 0 && !s.writing && s.failed == nil }

func (s *natsSocket) tryLocked() {
	if s.writing || s.failed != nil || len(s.out) == 0 || s.raw == nil {
		return
	}
	n, err := s.attempt.do(s.raw, s.out)
	s.failed = err
	s.out = s.out[:copy(s.out, s.out[n:])]
	if len(s.out) == 0 && cap(s.out) > natsOutKept {
		s.out = nil
	}
}

// drain writes everything, and waits for the socket at most natsStall at
// a time. Only the writer calls it.
func (s *natsSocket) drain() {
	for s != nil && s.try() {
		s.mu.Lock()
		b := s.out
		s.out, s.spare, s.writing = s.spare[:0], nil, true
		s.mu.Unlock()
		err := s.Conn.SetWriteDeadline(time.Now().Add(natsStall))
		if err == nil {
			_, err = s.Conn.Write(b)
		}
		s.mu.Lock()
		s.writing, s.failed = false, err
		if cap(b) <= natsOutKept {
			s.spare = b[:0]
		}
		s.mu.Unlock()
	}
}

// fail ends a socket that a write failed on: a torn message must not be
// followed by another.
func (s *natsSocket) fail() {
	s.broke()
	_ = s.Conn.Close() // nats.go's reader notices
}

func (s *natsSocket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil {
		s.broke()
	}
	return n, err
}

// SetWriteDeadline is for what nats.go writes itself.
func (s *natsSocket) SetWriteDeadline(t time.Time) error {
	if s.gathers.Load() {
		return nil
	}
	return s.Conn.SetWriteDeadline(t)
}

func (s *natsSocket) Close() error {
	s.broke()
	return s.Conn.Close()
}

func (s *natsSocket) broke() { s.once.Do(func() { s.link.t.socketBroke(s) }) }

func (s *natsSocket) isBroken() bool { return s.link.broken.Load() >= s.number }

// appendFrame appends m as the protocol of NATS has it.
func appendFrame(dst []byte, m *outgoing) []byte {
	dst = append(dst, "PUB "...)
	dst = append(dst, m.subject...)
	dst = append(dst, ' ')
	if m.reply != "" {
		dst = append(m.appendReply(dst), ' ')
	}
	dst = strconv.AppendInt(dst, int64(len(m.body.b)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, m.body.b...)
	return append(dst, "\r\n"...)
}
