package client

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/cereus-game/cereus/protocol"
)

const (
	// readBuffer is what a stream reads at once. Longer packets get a longer
	// buffer, which grows only as their bytes arrive.
	readBuffer = 16 << 10
	// keptBuffer is the longest buffer that stays after such a packet.
	keptBuffer = 256 << 10
)

// stream is the transport over TCP and TLS (wire.md 1.3).
type stream struct {
	conn  net.Conn // conn is raw, or the TLS connection over it
	raw   net.Conn
	limit int

	buf        []byte
	start, end int // the bytes read and not yet returned
}

var _ transport = (*stream)(nil)

func newStream(conn, raw net.Conn, limit int) *stream {
	return &stream{conn: conn, raw: raw, limit: limit, buf: make([]byte, readBuffer)}
}

func (s *stream) next() (protocol.PacketType, []byte, error) {
	if err := s.need(protocol.HeaderSize); err != nil {
		return 0, nil, err
	}
	kind, n, err := protocol.ParseHeader(s.buf[s.start:s.end])
	if err != nil {
		return 0, nil, violated(err)
	}
	if n > s.limit {
		return 0, nil, violated(fmt.Errorf("a packet of %d bytes, the limit is %d: %w", n, s.limit, protocol.ErrPacketTooLarge))
	}
	if err := s.need(protocol.HeaderSize + n); err != nil {
		return 0, nil, err
	}
	body := s.buf[s.start+protocol.HeaderSize : s.start+protocol.HeaderSize+n]
	s.start += protocol.HeaderSize + n
	return kind, body, nil
}

// need reads until n bytes are there.
func (s *stream) need(n int) error {
	for s.end-s.start < n {
		s.makeRoom(n)
		got, err := s.conn.Read(s.buf[s.end:])
		s.end += got
		if err == nil || s.end-s.start >= n {
			continue
		}
		if errors.Is(err, io.EOF) && s.end > s.start {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// makeRoom leaves at least one free byte after end, for a packet of n bytes.
func (s *stream) makeRoom(n int) {
	have := s.end - s.start
	switch {
	case have == 0 && len(s.buf) > keptBuffer:
		s.buf = make([]byte, readBuffer)
	case s.start+n <= len(s.buf):
		return
	case have == len(s.buf):
		larger := make([]byte, min(2*len(s.buf), n))
		copy(larger, s.buf)
		s.buf = larger
	default:
		copy(s.buf, s.buf[s.start:s.end])
	}
	s.start, s.end = 0, have
}

func (s *stream) write(packets []byte) error {
	_, err := s.conn.Write(packets)
	return err
}

func (s *stream) close()               { _ = s.conn.Close() }
func (s *stream) abort()               { _ = s.raw.Close() }
func (s *stream) remoteAddr() net.Addr { return s.raw.RemoteAddr() }
