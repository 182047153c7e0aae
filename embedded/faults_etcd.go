package embedded

import (
	"context"
	"fmt"
)

// StopEtcd stops all etcd nodes as a kill would: it closes their clients'
// connections at once. Data and ports stay for RestartEtcd.
func (c *Cluster) StopEtcd(ctx context.Context) error {
	if c.etcd == nil {
		return ErrNotStarted
	}
	return c.etcd.stop(ctx, c.etcd.nodes)
}

// RestartEtcd starts all etcd nodes with their data, on the ports they had. It
// stops those first that run. It gives up after 30 s at the latest.
func (c *Cluster) RestartEtcd(ctx context.Context) error {
	if c.etcd == nil {
		return ErrNotStarted
	}
	return c.restartEtcd(ctx, c.etcd.nodes)
}

func (c *Cluster) restartEtcd(ctx context.Context, nodes []*etcdNode) error {
	return c.bringUp(ctx, "restart etcd", func(ctx context.Context) error {
		if err := c.etcd.stop(ctx, nodes); err != nil {
			return err
		}
		return c.etcd.start(ctx, nodes)
	})
}

// RestartEtcdEmpty is RestartEtcd without the data: revisions begin at 1 again
// and every key and lease is gone.
func (c *Cluster) RestartEtcdEmpty(ctx context.Context) error {
	if c.etcd == nil {
		return ErrNotStarted
	}
	return c.bringUp(ctx, "restart etcd", func(ctx context.Context) error {
		if err := c.etcd.stop(ctx, c.etcd.nodes); err != nil {
			return err
		}
		if err := c.etcd.wipe(ctx); err != nil {
			return err
		}
		return c.etcd.start(ctx, c.etcd.nodes)
	})
}

// StopEtcdNode stops etcd node i as a kill would: it closes its clients'
// connections at once and, when it leads, hands leadership over to nobody. The
// others notice after 0.5 to 1 s. Data and port stay for RestartEtcdNode.
func (c *Cluster) StopEtcdNode(ctx context.Context, i int) error {
	n, err := c.etcdNode(i)
	if err != nil {
		return err
	}
	return c.etcd.stop(ctx, []*etcdNode{n})
}

// RestartEtcdNode starts etcd node i with its data, on the port it had, and
// waits until it serves and the group has a leader. While fewer than a majority
// run there is none: then it does not wait, and the node serves once enough
// others do. It stops it first when it runs. It gives up after 30 s at the
// latest.
func (c *Cluster) RestartEtcdNode(ctx context.Context, i int) error {
	n, err := c.etcdNode(i)
	if err != nil {
		return err
	}
	return c.restartEtcd(ctx, []*etcdNode{n})
}

// EtcdLeader is the etcd node that leads the group now, counted from 0 as in
// EtcdEndpoints, or -1 for none: while nodes elect one, and when fewer than a
// majority run (a leader that lost its majority notices after 0.5 to 1 s).
func (c *Cluster) EtcdLeader() int {
	if c.etcd == nil {
		return -1
	}
	return c.etcd.leader()
}

func (c *Cluster) etcdNode(i int) (*etcdNode, error) {
	if c.etcd == nil {
		return nil, ErrNotStarted
	}
	if i < 0 || i >= len(c.etcd.nodes) {
		return nil, fmt.Errorf("embedded: there is no etcd node %d: choose 0 to %d", i, len(c.etcd.nodes)-1)
	}
	return c.etcd.nodes[i], nil
}
