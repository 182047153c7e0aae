package router

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/cereus-game/cereus/cluster"
)

// Bound keeps [Rendezvous] from giving a server too much because its keys happen
// to be the busy ones: a server with more than Factor times the average load for
// its weight, rounded up to a whole number, is skipped, and its keys go to the
// next by rank as long as that lasts. 1.25 is a good Factor: lower ones move more
// keys, higher ones allow more load. When every server has too much, none is
// skipped.
//
// Who must find a key where it was put cannot use a Bound. The zero Bound is
// none; so is one with a Factor below 1, which would skip servers of average load.
type Bound struct {
	Factor float64
	Load   LoadFunc
}

// censusAge is how old the knowledge of all loads may be.
const censusAge = 100 * time.Millisecond

// limits are those of a list's servers, or none.
type limits struct {
	bound   Bound
	ranking *ranking // nil: no limits
	perUnit float64  // of share
	fresh   bool     // all loads were asked for just now
}

func (b Bound) limits(list []*cluster.Server, r *ranking) limits {
	if !(b.Factor >= 1) || b.Load == nil || len(list) == 1 {
		return limits{}
	}
	l := limits{bound: b, ranking: r}
	l.perUnit = b.Factor * r.census.total(b.Load, list) / r.total
	return l
}

// over reports whether the server at that place has too much.
func (l *limits) over(i int) bool {
	if l.ranking == nil {
		return false
	}
	limit := max(1, math.Ceil(l.perUnit*l.ranking.shares[i]))
	return l.bound.Load.of(l.ranking.list[i]) > limit
}

// relaxed are the limits to try when all servers are over them: those of this
// very moment, and then none.
func (l *limits) relaxed() limits {
	if l.fresh {
		return limits{}
	}
	next := *l
	next.perUnit = l.bound.Factor * l.ranking.census.take(l.bound.Load, l.ranking.list) / l.ranking.total
	next.fresh = true
	return next
}

// census is the load of all servers of a list, asked for now and then: the
// average moves little while a key is looked up a thousand times.
type census struct {
	start time.Time    // of its clock
	due   atomic.Int64 // when it is taken again, after start; 0: it never was
	sum   atomic.Uint64
}

// total is the sum of all loads, at most censusAge old.
func (c *census) total(load LoadFunc, list []*cluster.Server) float64 {
	due, now := c.due.Load(), int64(time.Since(c.start))
	next := now + int64(censusAge)
	if due == 0 { // whoever comes before the first one is done has no sum to go by
		sum := c.take(load, list)
		c.due.CompareAndSwap(0, next)
		return sum
	}
	if now >= due && c.due.CompareAndSwap(due, next) {
		return c.take(load, list)
	}
	return math.Float64frombits(c.sum.Load())
}

func (c *census) take(load LoadFunc, list []*cluster.Server) float64 {
	sum := 0.0
	for _, s := range list {
		if n := load.of(s); n < math.MaxFloat64 { // what is no number tells nothing of the others
			sum += n
		}
	}
	c.sum.Store(math.Float64bits(sum))
	return sum
}
