package embedded

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/cereus-game/cereus/internal/loopback"
)

// etcdNode is one etcd server that can be stopped and started again. The turn
// of its group serialises everything that starts or stops it.
type etcdNode struct {
	name string
	dir  string

	peers *front // where other nodes find it; nil for a node alone

	mu       sync.Mutex // guards the rest, for readers beside the holder of the turn
	port     int        // where clients find it
	keepPort bool       // the port was chosen by the user, or was in use before
	release  func()     // gives up the port, which is reserved while etcd is stopped; nil otherwise
	clients  *front     // on port while it runs with TLS; nil without: etcd listens there itself
	run      *etcdRun   // nil when stopped

	clientsPort, peersPort int // where the fronts lead to
}

// etcdRun is one life of a node.
type etcdRun struct {
	etcd  *embed.Etcd
	rpc   atomic.Pointer[grpc.Server] // stop needs it; set before ready is closed
	ready chan struct{}               // closed just before etcd serves clients
}

// launch starts the node with cfg; nil when its ports are bound. It is ready
// later, when the group has a leader.
func (n *etcdNode) launch(cfg *embed.Config) error {
	run := &etcdRun{ready: make(chan struct{})}
	cfg.ServiceRegister = func(s *grpc.Server) {
		run.rpc.Store(s)
		close(run.ready)
	}
	e, err := startEtcd(cfg)
	if err != nil {
		return fmt.Errorf("%s does not start: %w", n.name, err)
	}
	run.etcd = e
	n.mu.Lock()
	defer n.mu.Unlock()
	n.run = run
	return nil
}

// startEtcd turns what etcd panics with, such as a damaged data folder, into an error.
func startEtcd(cfg *embed.Config) (e *embed.Etcd, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, err = nil, fmt.Errorf("%v (data in %s; remove the folder to begin anew)", r, cfg.Dir)
		}
	}()
	return embed.StartEtcd(cfg)
}

func (n *etcdNode) current() *etcdRun {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run
}

// take cuts the node off and gives its run to the caller, who halts it.
func (n *etcdNode) take() *etcdRun {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.peers != nil {
		n.peers.cut()
	}
	if n.clients != nil {
		n.clients.close()
		n.clients = nil
	}
	run := n.run
	n.run = nil
	return run
}

// halt ends a run of the node and keeps its port for the next.
func (n *etcdNode) halt(run *etcdRun) {
	run.halt()
	n.giveUpPort()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.release = reserve(n.port)
}

func (n *etcdNode) giveUpPort() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.release != nil {
		n.release()
		n.release = nil
	}
}

func (n *etcdNode) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return loopback.Address(n.port)
}

func (n *etcdNode) peerURL() url.URL {
	if n.peers == nil { // nobody looks for a node alone
		return url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	}
	return url.URL{Scheme: "http", Host: loopback.Address(n.peers.port())}
}

func (r *etcdRun) await(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case err := <-r.etcd.Err():
		return fmt.Errorf("etcd ended while it started: %w", err)
	case <-r.etcd.Server.StopNotify():
		return fmt.Errorf("etcd ended while it started (data in %s)", r.etcd.Config().Dir)
	case <-ctx.Done():
		return fmt.Errorf("etcd was not ready in time: %w", context.Cause(ctx))
	}
}

// halt ends the run as a kill would: it cuts off the clients at once, where
// etcd itself would wait 5 s for the ends of watches, and hands leadership
// over to nobody.
func (r *etcdRun) halt() {
	if rpc := r.rpc.Load(); rpc != nil {
		rpc.Stop()
		rpc.GracefulStop() // the calls it cut off must be out of the storage before that closes
	}
	// Before Close, which would wait for a node that is not ready to become so.
	r.etcd.Server.HardStop()
	r.etcd.Close()
}

// isLeader reports whether the node takes itself for the leader, and in which term.
func (r *etcdRun) isLeader() (term uint64, ok bool) {
	s := r.etcd.Server
	return s.Term(), s.Leader() == s.MemberID()
}
