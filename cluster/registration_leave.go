package cluster

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// lastWords is the time for leaving when there is none left.
const lastWords = 500 * time.Millisecond

// stepAside takes a server whose health checks fail out of the list, which stays
// wanted and comes back when they pass, or one that is not wanted any more.
func (r *Registration) stepAside(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.params.RevokeTimeout)
	defer cancel()
	if err := r.leave(ctx); err != nil {
		r.log.WithError(err).Warn("this server could not leave the list in time, its lease will run out")
	}
}

// leave says that this server left and gives the lease back, which deletes the key.
func (r *Registration) leave(ctx context.Context) error {
	r.answer(errDeregistered)
	r.held.Store(false)
	r.lost.Store(false)
	r.said.failed(nil) // it is said when the server registers again
	r.parting()
	defer r.sweep(ctx)
	lease := r.lease.id()
	if lease == 0 {
		return nil
	}
	errLeave := r.farewell(ctx, lease)
	r.await(ctx)
	r.lease.over()
	_, errRevoke := r.store.lease.Revoke(ctx, lease)
	return errors.Join(unlessGone(errLeave), unlessGone(errRevoke))
}

// farewell says that this server left, which takes it out of every list.
func (r *Registration) farewell(ctx context.Context, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, r.params.RevokeTimeout/2)
	defer cancel()
	return r.key.leave(ctx, r.Self(), lease)
}

// await waits for what stands on the lease to end, in time to give it back.
func (r *Registration) await(ctx context.Context) {
	left := r.lease.left()
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline)*3/4)
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	r.parted(ctx)
}
