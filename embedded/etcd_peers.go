package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/internal/loopback"
)

// peersFile is in the folder of a group and holds the ports on which its nodes
// find each other, one a line: etcd keeps them in its data, so they must not
// change when the group is started again.
const peersFile = "peers"

// peerFront is the address at which the others find one node of a group, for
// as long as the cluster lives. It carries their connections to wherever the
// node listens, and cuts them off when the node stops: etcd would leave some
// open for 5 s, in which neither end is free.
type peerFront struct {
	listener net.Listener
	work     *lifecycle.Group

	mu     sync.Mutex // guards the rest
	target string     // where the node listens; empty while it is stopped
	conns  map[net.Conn]bool
}

// newPeerFront takes connections until work is stopped.
func newPeerFront(l net.Listener, work *lifecycle.Group) *peerFront {
	f := &peerFront{listener: l, work: work, conns: make(map[net.Conn]bool)}
	if !work.Go("etcd peers", f.serve) {
		_ = l.Close()
	}
	return f
}

func (f *peerFront) port() int { return f.listener.Addr().(*net.TCPAddr).Port }

func (f *peerFront) serve(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		_ = f.listener.Close()
		f.cut()
	})()
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		if !f.work.Go("etcd peer", func(ctx context.Context) { f.carry(ctx, conn) }) {
			_ = conn.Close()
		}
	}
}

// carry copies both ways until one end closes or the front is cut.
func (f *peerFront) carry(ctx context.Context, from net.Conn) {
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
	back := background(f.work, "etcd peer", func() { pump(from, to) })
	pump(to, from)
	<-back
}

// pump copies one way and then closes both ends, so that the other way ends too.
func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

func (f *peerFront) current() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.target
}

// hold leaves the connections to cut, unless that came first.
func (f *peerFront) hold(target string, conns ...net.Conn) bool {
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

func (f *peerFront) release(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		delete(f.conns, conn)
	}
}

// lead sends connections to target from now on.
func (f *peerFront) lead(target string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
}

// cut closes all connections and lets none through until lead is called.
func (f *peerFront) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = ""
	for conn := range f.conns {
		_ = conn.Close()
	}
}

// openFronts gives each node of a group its front: on the ports that its data
// knows, or on free ones, which it writes down before a node uses them.
func (g *etcdGroup) openFronts() error {
	if len(g.nodes) == 1 || g.nodes[0].front != nil {
		return nil
	}
	ports, err := g.loadPeers()
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	listeners, err := listenAll(len(g.nodes), ports)
	if err == nil && fresh {
		err = g.savePeers(listeners)
	}
	if err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return err
	}
	for i, n := range g.nodes {
		n.front = newPeerFront(listeners[i], g.work)
	}
	return nil
}

// listenAll listens on ports, or on n free ones when there are none. What it
// returns is the caller's to close, also with an error.
func listenAll(n int, ports []int) ([]net.Listener, error) {
	var listeners []net.Listener
	for i := range n {
		l, err := listenOn(ports, i)
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func listenOn(ports []int, i int) (net.Listener, error) {
	if ports == nil {
		return loopback.Listen()
	}
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", loopback.Address(ports[i]))
	if loopback.InUse(err) {
		return nil, fmt.Errorf("etcd: %w: %w; its data ties node %d to that port: stop the process that holds it, or begin anew in another folder with embedded.WithDir", ErrPortInUse, err, i)
	}
	return l, err
}

func (g *etcdGroup) savePeers(listeners []net.Listener) error {
	var text strings.Builder
	for _, l := range listeners {
		text.WriteString(strconv.Itoa(l.Addr().(*net.TCPAddr).Port) + "\n")
	}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return fmt.Errorf("cannot make etcd's data folder: %w", err)
	}
	return os.WriteFile(filepath.Join(g.dir, peersFile), []byte(text.String()), 0o600)
}

func (g *etcdGroup) loadPeers() ([]int, error) {
	path := filepath.Join(g.dir, peersFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ports, err := parsePeers(string(text), len(g.nodes))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove the folder to begin anew", path, err)
	}
	return ports, nil
}

func parsePeers(text string, count int) ([]int, error) {
	lines := strings.Fields(text)
	if len(lines) != count {
		return nil, fmt.Errorf("has %d ports instead of %d", len(lines), count)
	}
	ports := make([]int, count)
	for i, line := range lines {
		port, err := strconv.ParseUint(line, 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("line %d is not a port", i+1)
		}
		ports[i] = int(port)
	}
	return ports, nil
}
