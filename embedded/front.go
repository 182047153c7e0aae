package embedded

import (
	"context"
	"io"
	"net"
	"sync"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// front is an address of an etcd node. It carries connections to where the node
// really listens, and can cut them off: etcd itself leaves some open for
// seconds after its end, and the goroutines at both ends with them.
type front struct {
	listener net.Listener
	work     *lifecycle.Group

	mu     sync.Mutex // guards the rest
	target string     // where the node listens; empty while it is stopped
	conns  map[net.Conn]bool
}

// newFront takes connections until it is closed or work is stopped.
func newFront(l net.Listener, work *lifecycle.Group) *front {
	f := &front{listener: l, work: work, conns: make(map[net.Conn]bool)}
	if !work.Go("etcd front", f.serve) {
		_ = l.Close()
	}
	return f
}

func (f *front) port() int { return f.listener.Addr().(*net.TCPAddr).Port }

func (f *front) serve(ctx context.Context) {
	defer context.AfterFunc(ctx, f.close)()
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		if !f.work.Go("etcd connection", func(ctx context.Context) { f.carry(ctx, conn) }) {
			_ = conn.Close()
		}
	}
}

// carry copies both ways until one end closes or the front is cut.
func (f *front) carry(ctx context.Context, from net.Conn) {
	defer func() { _ = from.Close() }()
	target := f.current()
	if target == "" {
		return
	}
	var dialer net.Dialer
	to, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	if !f.hold(target, from, to) {
		return
	}
	defer f.release(from, to)
	back := background(f.work, "etcd connection", func() { pump(from, to) })
	pump(to, from)
	<-back
}

// pump copies one way and then closes both ends, so that the other way ends too.
func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

func (f *front) current() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.target
}

// hold leaves the connections to cut, unless that came first.
func (f *front) hold(target string, conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.target != target {
		return false
	}
	for _, conn := range conns {
		f.conns[conn] = true
	}
	return true
}

func (f *front) release(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		delete(f.conns, conn)
	}
}

// lead sends connections to target from now on.
func (f *front) lead(target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
}

// cut closes all connections and lets none through until lead is called.
func (f *front) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = ""
	for conn := range f.conns {
		_ = conn.Close()
	}
}

// close is cut for good.
func (f *front) close() {
	_ = f.listener.Close()
	f.cut()
}
