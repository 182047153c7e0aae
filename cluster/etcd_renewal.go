package cluster

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// renewals renews leases, one at a time, on a stream that it keeps: where there
// are users, every new stream costs a login. The client's own KeepAliveOnce
// repeats itself without a pause while etcd is away, and its KeepAlive does not
// tell when what etcd confirmed was sent.
type renewals struct {
	client *clientv3.Client
	stream pb.Lease_LeaseKeepAliveClient // nil: the next renewal makes one
	cancel context.CancelFunc            // ends the stream
}

// renew asks etcd once to renew a lease, and returns for how long. It waits for
// a connection until ctx ends. After a failure the next renewal has a new stream.
func (r *renewals) renew(ctx context.Context, lease clientv3.LeaseID) (time.Duration, error) {
	if r.stream == nil {
		if err := r.open(ctx); err != nil {
			return 0, clientv3.ContextError(ctx, err)
		}
	}
	stop := context.AfterFunc(ctx, r.cancel)
	ttl, err := r.ask(lease)
	switch ended := !stop(); {
	case err == nil && !ended:
		return ttl, nil
	case ended:
		err = ctx.Err() // that is why the stream ended
	}
	r.close()
	return 0, clientv3.ContextError(ctx, err)
}

// open makes a stream, which outlives ctx.
func (r *renewals) open(ctx context.Context) error {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	stream, err := pb.NewLeaseClient(r.client.ActiveConnection()).LeaseKeepAlive(clientv3.WithRequireLeader(life), grpc.WaitForReady(true))
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return err
	}
	r.stream, r.cancel = stream, cancel
	return nil
}

func (r *renewals) ask(lease clientv3.LeaseID) (time.Duration, error) {
	if err := r.stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(lease)}); err != nil {
		return 0, err
	}
	resp, err := r.stream.Recv()
	switch {
	case err != nil:
		return 0, err
	case resp.TTL <= 0:
		return 0, rpctypes.ErrLeaseNotFound
	}
	return time.Duration(resp.TTL) * time.Second, nil
}

// close ends the stream, if there is one.
func (r *renewals) close() {
	if r.stream != nil {
		r.cancel()
		r.stream, r.cancel = nil, nil
	}
}
