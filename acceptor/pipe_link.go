package acceptor

import (
	"net"
	"time"
)

// pipeLink is any net.Conn, read and written in the usual way.
type pipeLink struct {
	conn net.Conn
}

func (l *pipeLink) fill(in *inbox) error {
	n, err := l.conn.Read(in.begin())
	if n > 0 {
		in.commit(n)
		return nil
	}
	in.abort()
	return err
}

func (l *pipeLink) tryWrite([]byte) (int, error) { return 0, nil }

func (l *pipeLink) writeAll(bufs [][]byte, deadline time.Time) error {
	if err := l.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	for _, b := range bufs {
		if _, err := l.conn.Write(b); err != nil {
			return err
		}
	}
	_ = l.conn.SetWriteDeadline(time.Time{}) // fails if the peer has gone since
	return nil
}

func (l *pipeLink) shut([]byte) { _ = l.conn.Close() }

func (l *pipeLink) probe() (bool, error) { return false, nil }
