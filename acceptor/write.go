package acceptor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// writeState guards the order of what is written.
type writeState struct {
	mu   sync.Mutex // held during a write; guards the fields
	half bool       // the last frame is not out completely
	torn bool       // it never will be
	fin  bool       // nothing follows: close frame or CloseWrite
}

// TryWrite writes as much of b as fits into the socket right now and never
// waits. It returns 0, nil when nothing fits, when another write is under way,
// or when the transport cannot tell (TLS, memory). After 0 < n < len(b) the
// rest has to be written before anything else, which is for the callers to
// see to.
func (c *Conn) TryWrite(b []byte) (n int, err error) {
	if !c.write.mu.TryLock() {
		return 0, nil
	}
	defer c.write.mu.Unlock()
	if err := c.writable(); err != nil {
		return 0, err
	}
	if n, err = c.link.tryWrite(b); err != nil {
		c.write.torn = true
		return n, c.writeError(err)
	}
	if n > 0 {
		c.write.half = n < len(b)
	}
	return n, nil
}

// WriteAll writes all of bufs, which it uses up as it goes, and waits until
// the socket took them. Little is joined and written at once, much is written
// with writev on TCP and as joined records on TLS. The zero deadline means to wait for ever. After any error the stream is
// torn: close the connection; further writes fail with ErrTorn.
func (c *Conn) WriteAll(bufs [][]byte, deadline time.Time) error {
	c.write.mu.Lock()
	defer c.write.mu.Unlock()
	if err := c.writable(); err != nil {
		return err
	}
	c.write.half = true
	if err := c.link.writeAll(bufs, deadline); err != nil {
		c.write.torn = true
		return c.writeError(err)
	}
	c.write.half = false
	return nil
}

func (c *Conn) writable() error {
	switch {
	case c.closed.Load(), c.write.fin:
		return ErrClosed
	case c.write.torn:
		return ErrTorn
	}
	return nil
}

func (c *Conn) writeError(err error) error {
	switch {
	case c.closed.Load() || errors.Is(err, net.ErrClosed) || errors.Is(err, ErrClosed):
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrDeadline
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}
