package cluster

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
)

// etcdDialer makes the TCP connections of an etcd client and remembers them, so
// that they can be closed under gRPC. It hands out plain connections: gRPC sets
// TCP_USER_TIMEOUT on them, which it cannot on one that is wrapped.
type etcdDialer struct {
	net     net.Dialer
	failure connectFailure

	mu    sync.Mutex // guards conns
	conns []net.Conn // open, or closed since the last dial
}

// dial connects to an address as gRPC names it: host:port, or unix:path.
func (d *etcdDialer) dial(ctx context.Context, address string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", strings.TrimPrefix(path, "//")
	}
	conn, err := d.net.DialContext(ctx, network, address)
	if !errors.Is(ctx.Err(), context.Canceled) { // an attempt that was called off says nothing
		d.failure.dialed.note(err)
	}
	if err != nil {
		return nil, err
	}
	d.remember(conn)
	return conn, nil
}

func (d *etcdDialer) remember(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	still := d.conns[:0]
	for _, c := range d.conns {
		if isOpen(c) {
			still = append(still, c)
		}
	}
	clear(d.conns[len(still):])
	d.conns = append(still, conn)
}

// isOpen reports whether Close was not called yet on a connection of net.
func isOpen(conn net.Conn) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := c.SyscallConn()
	return err == nil && raw.Control(func(uintptr) {}) == nil
}

// drop closes every connection.
func (d *etcdDialer) drop() {
	d.mu.Lock()
	conns := d.conns
	d.conns = nil
	d.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // gRPC may have closed it already
	}
}
