package cluster

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// lastRefusal bounds the pauses while etcd refuses what a server asks (fault
// E11): a login costs etcd a lot, and nothing changes until somebody changes it.
const lastRefusal = 5 * time.Second

// pauses are those between attempts that fail: short while etcd is away, so that
// its return is noticed at once, and long while it refuses.
type pauses struct{ away, refused *backoff.ExponentialBackOff }

func newPauses(first, last time.Duration) pauses {
	return pauses{away: newBackoff(first, last), refused: newBackoff(last, lastRefusal)}
}

// after is how long to wait after an attempt that ended with err.
func (p pauses) after(err error) time.Duration {
	if hopeless(err) || errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace) {
		return p.refused.NextBackOff()
	}
	return p.away.NextBackOff()
}

func (p pauses) reset() {
	p.away.Reset()
	p.refused.Reset()
}

// newBackoff grows from the first to the last interval, give or take a half, so
// that servers that lost etcd together do not come back together.
func newBackoff(first, last time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor = first, last, 0.5
	b.Reset()
	return b
}

// around is an interval, give or take a fifth, so that servers that started
// together do not ask together.
func around(d time.Duration) time.Duration {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor = d, d, 0.2
	b.Reset()
	return b.NextBackOff()
}
