package ratelimit

import (
	"time"

	"golang.org/x/time/rate"
)

// Rate is so many per so long; the zero value is no limit. All of N may come at
// once.
type Rate struct {
	N   int
	Per time.Duration
}

// Limits reports whether there is a limit.
func (r Rate) Limits() bool { return r.N > 0 && r.Per > 0 }

// Bucket returns the tokens of one key, all of them.
func (r Rate) Bucket() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(r.N)/r.Per.Seconds()), r.N)
}
