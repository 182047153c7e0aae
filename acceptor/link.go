package acceptor

import "time"

// link moves bytes between a Conn and its socket.
type link interface {
	// fill waits until bytes have come and puts them into in.
	fill(in *inbox) error
	// tryWrite writes what fits now, without waiting. 0 when it cannot tell.
	tryWrite(b []byte) (int, error)
	// writeAll writes all of bufs, which it changes.
	writeAll(bufs [][]byte, deadline time.Time) error
	// shut closes without waiting, after one attempt to write last. Only
	// without last may a write be under way.
	shut(last []byte)
	// probe is Conn.Probe.
	probe() (bool, error)
}

// halfCloser is a link that can end the stream towards the client.
type halfCloser interface{ closeWrite() error }

// consume drops the first n bytes of bufs.
func consume(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}

// gather copies as much of bufs as dst takes.
func gather(dst []byte, bufs [][]byte) (n int) {
	for _, b := range bufs {
		if n == len(dst) {
			break
		}
		n += copy(dst[n:], b)
	}
	return n
}
