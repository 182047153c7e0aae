package cluster

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// sweepTimeout bounds the giving back of leases that are not needed, and
	// maxSpare their number.
	sweepTimeout = time.Second
	maxSpare     = 16
	// A renewal that takes longer than a quarter of the TTL, between these two, is
	// taken for a connection that swallows what is sent (fault E05).
	minRenewal = time.Second
	maxRenewal = 3 * time.Second
)

// leaseTerm is a lease and how long it certainly lasts: by this process's
// clock, until the TTL after the last renewal that etcd confirmed was sent.
type leaseTerm struct {
	sent time.Time     // of run; when the last confirmed renewal was
	ttl  time.Duration // of run

	born time.Time
	ends atomic.Int64 // since born
	held atomic.Int64 // its id; 0 is none
}

func (l *leaseTerm) valid() bool { return l.left() > 0 }

// lasts reports whether this lease, and not another one, is valid. It asks for
// the time first: a later lease's comes after its id.
func (l *leaseTerm) lasts(id clientv3.LeaseID) bool { return l.valid() && l.id() == id }

// confirmed notes a grant or renewal that was sent at the given time, and
// reports whether the lease was not certain to last until now.
func (l *leaseTerm) confirmed(id clientv3.LeaseID, sent time.Time, ttl time.Duration) (late bool) {
	l.sent, l.ttl = sent, ttl
	l.held.Store(int64(id))
	ended := l.ends.Swap(int64(sent.Sub(l.born) + ttl))
	return time.Since(l.born) >= time.Duration(ended) // after the swap: who saw it end is not missed
}

func (l *leaseTerm) id() clientv3.LeaseID { return clientv3.LeaseID(l.held.Load()) }

// left is how long the lease certainly lasts from now on.
func (l *leaseTerm) left() time.Duration { return time.Duration(l.ends.Load()) - time.Since(l.born) }

// doubtful notes that the lease may have ended; the key may still be under it.
func (l *leaseTerm) doubtful() { l.ends.Store(0) }

// over forgets the lease and returns it.
func (l *leaseTerm) over() clientv3.LeaseID {
	l.doubtful()
	return clientv3.LeaseID(l.held.Swap(0))
}

// due is when the lease is to be renewed next.
func (l *leaseTerm) due() time.Time { return l.sent.Add(l.ttl / 3) }

// grant gets a new lease.
func (r *Registration) grant(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, r.params.GrantTimeout)
	defer cancel()
	return r.store.lease.Grant(ctx, int64(r.params.TTL/time.Second))
}

// renew renews the lease once, and sees to it when that fails.
func (r *Registration) renew(ctx context.Context) {
	sent := time.Now()
	var ttl time.Duration
	err := r.attempt(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, min(max(r.lease.ttl/4, minRenewal), maxRenewal))
		defer cancel()
		ttl, err = r.renewals.renew(ctx, r.lease.id())
		return err
	})
	switch {
	case err == nil:
		if r.lease.confirmed(r.lease.id(), sent, ttl) {
			r.arrived() // who counted on the lease has stopped
		}
		r.calm()
		if r.params.HeartbeatLog {
			r.log.WithField("ttl", ttl).Debug("lease renewed")
		}
	case errors.Is(err, errInterrupted):
		r.rest(ctx, time.After(firstRegainPause)) // for the command; who sent it may have left
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		r.lose("the lease ended")
	case ctx.Err() == nil && !r.lease.valid():
		r.lose("the lease could not be renewed in time")
	case ctx.Err() == nil:
		r.trouble(err)
		r.complain(err, "could not renew the lease, trying again")
		r.rest(ctx, time.After(r.pauses.after(err)))
	}
}

// sweep gives the spare leases back, as far as that can be done in time; what
// cannot runs out by itself.
func (r *Registration) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(r.params.RevokeTimeout, sweepTimeout))
	defer cancel()
	r.spare = slices.DeleteFunc(r.spare, func(lease clientv3.LeaseID) bool {
		if lease == 0 {
			return true
		}
		_, err := r.store.lease.Revoke(ctx, lease)
		return unlessGone(err) == nil
	})
	if extra := len(r.spare) - maxSpare; extra > 0 {
		r.spare = r.spare[extra:]
	}
}

// unlessGone is err, unless it says that the lease is gone already.
func unlessGone(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}
