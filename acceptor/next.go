package acceptor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/cereus-game/cereus/protocol"
)

// nextPacket is Next on a byte stream (wire.md 1.3).
func (c *Conn) nextPacket() (protocol.PacketType, []byte, error) {
	for {
		b := c.in.bytes()
		t, need, err := c.inspect(b)
		if err != nil {
			c.in.drop()
			return 0, nil, err
		}
		if len(b) >= need {
			c.in.advance(need)
			return t, b[protocol.HeaderSize:need:need], c.finished()
		}
		if err := c.wait(need, len(b) > 0); err != nil {
			return 0, nil, streamEnd(err, len(b))
		}
	}
}

// inspect looks at the start of a packet: its type, and how many bytes are
// needed to go on.
func (c *Conn) inspect(b []byte) (protocol.PacketType, int, error) {
	if len(b) == 0 {
		return 0, protocol.HeaderSize, nil
	}
	t := protocol.PacketType(b[0])
	if !t.Valid() {
		return 0, 0, ErrWrongType
	}
	if len(b) < protocol.HeaderSize {
		return t, protocol.HeaderSize, nil
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if int64(n) > c.limit.Load() {
		return 0, 0, ErrTooLarge
	}
	return t, protocol.HeaderSize + n, nil
}

// wait waits until more bytes have come. A packet that has begun must be
// complete within its deadline, which starts at the first wait for it.
func (c *Conn) wait(need int, partial bool) error {
	if c.closed.Load() {
		return ErrClosed
	}
	if err := c.in.prepare(need); err != nil {
		c.in.drop()
		return err
	}
	if partial && !c.begun {
		c.begun = true
		if err := c.read.setPacket(c.nc, time.Now().Add(c.packetTime())); err != nil {
			return c.readError(err)
		}
	}
	if err := c.link.fill(&c.in); err != nil {
		return c.readError(err)
	}
	return nil
}

func (c *Conn) packetTime() time.Duration {
	if c.established.Load() {
		return c.shared.limits.Packet
	}
	return c.shared.limits.HandshakePacket
}

// finished takes the deadline of a packet off again.
func (c *Conn) finished() error {
	if !c.begun {
		return nil
	}
	c.begun = false
	if err := c.read.setPacket(c.nc, time.Time{}); err != nil {
		return c.readError(err)
	}
	return nil
}

// readError translates an error of the socket. What is buffered stays only
// for a Next that is called again.
func (c *Conn) readError(err error) error {
	switch {
	case c.closed.Load() || errors.Is(err, net.ErrClosed) || errors.Is(err, ErrClosed):
		err = ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		if err = c.read.passed(); err == ErrDeadline {
			return err
		}
	case errors.Is(err, io.EOF), errors.Is(err, ErrBudget):
	default:
		err = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	c.in.drop()
	return err
}

// streamEnd tells an end of stream within a packet, of which n bytes had come,
// from one at a boundary.
func streamEnd(err error, n int) error {
	switch {
	case n == 0 || !errors.Is(err, io.EOF):
		return err
	case n < protocol.HeaderSize:
		return ErrHeader
	}
	return ErrShort
}
