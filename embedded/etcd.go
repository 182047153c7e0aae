package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/cereus-game/cereus/internal/lifecycle"
	"github.com/cereus-game/cereus/internal/loopback"
)

// Settings of etcd for development and tests: an election takes 0.1 s instead
// of 1 s, the shortest lease is 1 s, and the database maps little memory.
const (
	etcdTickMs     = 10
	etcdElectionMs = 100
	etcdQuota      = 512 << 20
)

// etcdNode is one etcd server that can be stopped and started again.
type etcdNode struct {
	dir     string
	durable bool
	quota   int64 // 0 for etcd's or our default
	log     logrus.FieldLogger
	work    *lifecycle.Group

	mu      sync.Mutex // serialises start and stop; guards the rest
	port    int
	fixed   bool // the port was chosen by the user, or was in use before
	running *embed.Etcd
	rpc     *grpc.Server
}

func (n *etcdNode) start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		return nil
	}
	if n.work.Context().Err() != nil {
		return errStopped
	}
	return bind("etcd", "embedded.WithEtcdPort", n.fixed, func() error { return n.tryStart(ctx) })
}

func (n *etcdNode) tryStart(ctx context.Context) error {
	port := n.port
	if !n.fixed {
		free, err := loopback.FreePort()
		if err != nil {
			return err
		}
		port = free
	}
	// The channel brings the gRPC server out of etcd: stop needs it.
	rpc := make(chan *grpc.Server, 1)
	cfg := n.config(port)
	cfg.ServiceRegister = func(s *grpc.Server) { rpc <- s }
	e, err := startEtcd(cfg)
	if err != nil {
		return fmt.Errorf("etcd does not start: %w", err)
	}
	n.running = e
	if err := n.await(ctx, rpc); err != nil {
		e.Close()
		n.running = nil
		return err
	}
	n.port, n.fixed = port, true
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

func (n *etcdNode) await(ctx context.Context, rpc <-chan *grpc.Server) error {
	select {
	case n.rpc = <-rpc: // registered after etcd is ready, just before it serves
		return nil
	case err := <-n.running.Err():
		return fmt.Errorf("etcd ended while it started: %w", err)
	case <-ctx.Done():
		return fmt.Errorf("etcd was not ready in time: %w", context.Cause(ctx))
	}
}

func (n *etcdNode) config(port int) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Dir = n.dir
	cfg.Name = "cereus"
	client := url.URL{Scheme: "http", Host: loopback.Address(port)}
	cfg.ListenClientUrls = []url.URL{client}
	cfg.AdvertiseClientUrls = []url.URL{client}
	// A single member talks to no peers, so it listens for none.
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs = etcdTickMs
	cfg.ElectionMs = etcdElectionMs
	cfg.UnsafeNoFsync = !n.durable
	cfg.QuotaBackendBytes = n.quota
	if n.quota == 0 && !n.durable {
		cfg.QuotaBackendBytes = etcdQuota
	}
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newZapLogger(n.log))
	return cfg
}

// stop closes client connections at once: etcd itself would wait 5 s for the
// ends of watches.
func (n *etcdNode) stop(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, rpc := n.running, n.rpc
	if e == nil {
		return nil
	}
	n.running, n.rpc = nil, nil
	return await(ctx, n.work, "etcd", func() {
		rpc.Stop()
		e.Close()
	})
}

// wipe removes the data of a stopped node.
func (n *etcdNode) wipe() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		return errors.New("etcd runs: stop it before its data is removed")
	}
	return os.RemoveAll(n.dir)
}

func (n *etcdNode) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return loopback.Address(n.port)
}

// await runs fn, which cannot be interrupted, and waits for it as long as ctx
// allows. The group keeps a straggler; Cluster.Stop waits for it.
func await(ctx context.Context, work *lifecycle.Group, name string, fn func()) error {
	done := make(chan struct{})
	started := work.Go(name, func(context.Context) {
		defer close(done)
		fn()
	})
	if !started {
		fn()
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s is still stopping: %w", name, context.Cause(ctx))
	}
}
