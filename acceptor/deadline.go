package acceptor

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// readDeadlines joins the owner's deadline with that of an unfinished packet.
type readDeadlines struct {
	mu     sync.Mutex // guards the fields and the order of the socket's deadlines
	owner  time.Time
	packet time.Time
}

func (d *readDeadlines) setOwner(nc net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owner = t
	return d.set(nc)
}

func (d *readDeadlines) setPacket(nc net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.packet = t
	return d.set(nc)
}

// set sets the deadline of the socket; mu is held. A pipe refuses that when
// its other end has gone, which the next read tells better.
func (d *readDeadlines) set(nc net.Conn) error {
	switch err := nc.SetReadDeadline(d.earliest()); {
	case errors.Is(err, io.ErrClosedPipe):
		return nil
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	default:
		return err
	}
}

func (d *readDeadlines) earliest() time.Time {
	if d.owner.IsZero() || !d.packet.IsZero() && d.packet.Before(d.owner) {
		return d.packet
	}
	return d.owner
}

// passed tells what a read that timed out ran into. The deadlines may be others since.
func (d *readDeadlines) passed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.packet.IsZero() && d.packet.Equal(d.earliest()) && !time.Now().Before(d.packet) {
		return ErrSlow
	}
	return ErrDeadline
}
