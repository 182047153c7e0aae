package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotStarted is returned for a server that the options left out.
var ErrNotStarted = errors.New("embedded: this server is not part of the cluster")

var errStopped = errors.New("embedded: the cluster was stopped: begin a new one with Start")

// StopNATS closes the connections of NATS node i at once and stops it; its
// port stays for RestartNATS. It also cuts a lame duck's leave short.
func (c *Cluster) StopNATS(ctx context.Context, i int) error {
	n, err := c.node(i)
	if err != nil {
		return err
	}
	return n.stop(ctx)
}

// RestartNATS starts NATS node i on the port it had and, in a cluster, waits
// until it is connected to every other running node. It stops it first when
// it runs. It gives up after 30 s at the latest.
func (c *Cluster) RestartNATS(ctx context.Context, i int) error {
	n, err := c.node(i)
	if err != nil {
		return err
	}
	return c.bringUp(ctx, "restart NATS", func(ctx context.Context) error {
		if err := n.stop(ctx); err != nil {
			return err
		}
		if err := n.start(ctx); err != nil {
			return err
		}
		return c.awaitRoutes(ctx)
	})
}

// LameDuck puts NATS node i into lame duck mode and returns: the node accepts
// no new clients, tells its clients to move, closes those that remain (see
// WithLameDuck) and ends. RestartNATS brings it back.
func (c *Cluster) LameDuck(i int) error {
	n, err := c.node(i)
	if err != nil {
		return err
	}
	return n.lameDuck()
}

func (c *Cluster) node(i int) (*natsNode, error) {
	if len(c.nats) == 0 {
		return nil, ErrNotStarted
	}
	if i < 0 || i >= len(c.nats) {
		return nil, fmt.Errorf("embedded: there is no NATS node %d: choose 0 to %d", i, len(c.nats)-1)
	}
	return c.nats[i], nil
}

// awaitRoutes waits until all running NATS nodes are connected to each other
// and, with JetStream, have a leader.
func (c *Cluster) awaitRoutes(ctx context.Context) error {
	if len(c.nats) < 2 {
		return nil
	}
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for !c.routed() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("the NATS nodes did not find each other in time: %w", context.Cause(ctx))
		}
	}
	return nil
}

func (c *Cluster) routed() bool {
	running, linked, jetStream, leader := 0, true, false, false
	for _, n := range c.nats {
		if s := n.server(); s != nil && s.Running() {
			running++
			jetStream = jetStream || n.dir != ""
			leader = leader || s.JetStreamIsLeader()
		}
	}
	for _, n := range c.nats {
		if s := n.server(); s != nil && s.Running() {
			linked = linked && s.NumRoutes() >= running-1
		}
	}
	// A minority never elects a leader: do not wait for one.
	needLeader := jetStream && running > len(c.nats)/2
	return linked && (leader || !needLeader)
}
