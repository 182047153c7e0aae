package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// How often etcd is asked how it is: usually, and while it is not well. The
// question costs it no write.
const (
	statusInterval = 30 * time.Second
	statusAgain    = 2 * time.Second
	statusTimeout  = 3 * time.Second
)

// condition knows what is wrong with an etcd that answers.
type condition struct {
	store *etcdStore
	ask   chan struct{} // ask now; room for one
	fault atomic.Pointer[error]
}

func newCondition(store *etcdStore) *condition {
	return &condition{store: store, ask: make(chan struct{}, 1)}
}

// run asks from time to time until ctx ends.
func (c *condition) run(ctx context.Context) {
	for ctx.Err() == nil {
		next := statusInterval
		if c.look(ctx) != nil {
			next = statusAgain
		}
		select {
		case <-ctx.Done():
		case <-c.ask:
		case <-time.After(around(next)):
		}
	}
}

// look asks once. An etcd that does not answer is the connection's affair.
func (c *condition) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := pb.NewMaintenanceClient(c.store.client.ActiveConnection()).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return clientv3.ContextError(ctx, err)
	}
	fault := conditionOf(status)
	if fault == nil {
		c.fault.Store(nil)
		return nil
	}
	c.fault.Store(&fault)
	return fault
}

func conditionOf(s *pb.StatusResponse) error {
	switch all := strings.Join(s.Errors, ", "); {
	case strings.Contains(all, pb.AlarmType_NOSPACE.String()):
		return fmt.Errorf("etcd has no space left (%d bytes in its database): nobody can register; compact and defragment it, then disarm the alarm", s.DbSize)
	case s.Leader == 0:
		return errors.New("etcd has no leader: most of its nodes are down or apart")
	case all != "":
		return fmt.Errorf("etcd says: %s", all)
	}
	return nil
}

// Degraded is what does not work as it should while servers go on with what
// they have: etcd is away or unwell, or the view is stale. Nil when all is well,
// and before Init and after Shutdown.
func (d *EtcdDiscovery) Degraded() error {
	run := d.link.Load()
	if run == nil {
		return nil
	}
	fault := run.condition.fault.Load()
	switch {
	case !d.IsConnected():
		return errors.New("etcd is away: the last view of the servers stays in use")
	case fault != nil:
		return *fault
	case d.Stale():
		return errors.New("the view of the servers was not compared with etcd since it came back")
	}
	return nil
}
