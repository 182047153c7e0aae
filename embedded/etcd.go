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
	name  string
	dir   string
	front *peerFront // nil for a node alone

	mu       sync.Mutex // guards the rest, for readers beside the holder of the turn
	port     int        // for clients
	keepPort bool       // the port was chosen by the user, or was in use before
	peerPort int        // where front leads to
	run      *etcdRun   // nil when stopped
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

// take cuts the node off from its peers and gives its run to the caller, who
// halts it.
func (n *etcdNode) take() *etcdRun {
	if n.front != nil {
		n.front.cut()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	run := n.run
	n.run = nil
	return run
}

func (n *etcdNode) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return loopback.Address(n.port)
}

func (n *etcdNode) peerURL() url.URL {
	if n.front == nil { // nobody looks for a node alone
		return url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	}
	return url.URL{Scheme: "http", Host: loopback.Address(n.front.port())}
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
