package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nuid"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// patience bounds whatever waits for servers to be ready.
const patience = 30 * time.Second

// Cluster is a running etcd and a running NATS, or one of them. Its methods
// may be called from any goroutine.
type Cluster struct {
	etcd   *etcdGroup       // nil without etcd
	nats   []*natsNode      // empty without NATS
	starts *lifecycle.Group // what brings servers up; ends before Stop takes them down
	work   *lifecycle.Group

	stopping sync.Mutex // serialises Stop; guards release
	release  func() error
}

// Start runs what the options ask for, by default etcd and one NATS node on
// free loopback ports, and returns when all of it answers. It gives up after
// 30 s at the latest. ctx bounds only the start. On failure nothing is left
// behind.
func Start(ctx context.Context, opts ...Option) (*Cluster, error) {
	s, err := newSettings(opts)
	if err != nil {
		return nil, err
	}
	dir, release, err := openDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	c := newCluster(s, dir)
	c.release = release
	if err := c.bringUp(ctx, "start", c.start); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("embedded: %w", err), c.Stop(stopCtx))
	}
	return c, nil
}

func newCluster(s settings, dir string) *Cluster {
	c := &Cluster{
		starts: lifecycle.NewGroup(context.Background()),
		work:   lifecycle.NewGroup(context.Background()),
	}
	if !s.noEtcd {
		c.etcd = newEtcdGroup(s, dir, c.work)
	}
	if s.noNATS {
		return c
	}
	id := "cereus-" + nuid.Next()
	for i := range s.natsNodes {
		n := &natsNode{
			name: "nats-" + strconv.Itoa(i), clusterID: id, routed: s.natsNodes > 1,
			grace: s.ldGrace, dur: s.ldTotal, log: s.log, work: c.work,
		}
		if s.jetStream {
			n.dir = filepath.Join(dir, n.name)
		}
		c.nats = append(c.nats, n)
	}
	c.nats[0].port, c.nats[0].fixed = s.natsPort, s.natsPort != 0
	return c
}

// bringUp runs fn, which starts servers, and waits for it. Its context ends
// with ctx, with patience, and when the cluster is stopped. After Stop began fn
// does not run at all.
func (c *Cluster) bringUp(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan error, 1)
	started := c.starts.Go(name, func(life context.Context) {
		defer context.AfterFunc(life, func() { stop(errStopped) })()
		done <- fn(ctx)
	})
	if !started {
		return errStopped
	}
	return <-done
}

// start brings etcd and NATS up side by side.
func (c *Cluster) start(ctx context.Context) error {
	etcdDone := make(chan error, 1)
	c.work.Go("start etcd", func(context.Context) {
		if c.etcd == nil {
			etcdDone <- nil
			return
		}
		etcdDone <- c.etcd.start(ctx, c.etcd.nodes)
	})
	natsErr := c.startNATS(ctx)
	return errors.Join(<-etcdDone, natsErr)
}

// startNATS starts the nodes one after the other, so that each finds those
// before it, and then tells every node of all others for its next start.
func (c *Cluster) startNATS(ctx context.Context) error {
	var ports []int
	for _, n := range c.nats {
		n.routes = slices.Clone(ports)
		if err := n.start(ctx); err != nil {
			return err
		}
		ports = append(ports, n.routePort)
	}
	for i, n := range c.nats {
		n.routes = slices.Delete(slices.Clone(ports), i, i+1)
	}
	return c.awaitRoutes(ctx)
}

// EtcdEndpoints is what an etcd client dials, one for each node in order, also
// for nodes that are stopped: host:port, or with WithEtcdTLS https://host:port.
// Without etcd it is nil.
func (c *Cluster) EtcdEndpoints() []string {
	if c.etcd == nil {
		return nil
	}
	return c.etcd.endpoints()
}

// NATSURL is the address of the first NATS node, "" without NATS.
func (c *Cluster) NATSURL() string {
	if len(c.nats) == 0 {
		return ""
	}
	return c.nats[0].url()
}

// NATSURLs are the addresses of all NATS nodes, in order.
func (c *Cluster) NATSURLs() []string {
	urls := make([]string, len(c.nats))
	for i, n := range c.nats {
		urls[i] = n.url()
	}
	return urls
}

// Stop ends everything, also what a test stopped already, and removes the data
// unless WithDir was given. A Restart that still runs is broken off, and later
// ones fail. It may be called more than once.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stopping.Lock()
	defer c.stopping.Unlock()
	if err := c.starts.Stop(ctx); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	var faults []error
	for _, n := range c.nats {
		faults = append(faults, n.stop(ctx))
	}
	if c.etcd != nil {
		faults = append(faults, c.etcd.stop(ctx, c.etcd.nodes))
	}
	faults = append(faults, c.work.Stop(ctx))
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	c.giveUpPorts()
	if c.release == nil {
		return nil
	}
	release := c.release
	c.release = nil
	return release()
}

func (c *Cluster) giveUpPorts() {
	for _, n := range c.nats {
		n.giveUpPorts()
	}
	if c.etcd == nil {
		return
	}
	for _, n := range c.etcd.nodes {
		n.giveUpPort()
	}
}

// openDir returns the folder for data and how to give it up: a temporary one
// is removed, a given one is unlocked.
func openDir(dir string) (string, func() error, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "cereus-embedded-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("cannot make the data folder: %w", err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return "", nil, fmt.Errorf("the data folder %s is in use or cannot be locked: choose another with embedded.WithDir: %w", dir, err)
	}
	return dir, unlock, nil
}
