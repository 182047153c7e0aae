package dispatch

import "sync/atomic"

// inFlightLanes spreads the counting over cache lines; a power of 2.
const inFlightLanes = 32

// inFlight counts what runs or waits on this server and is asked for a few
// times a second, so counting is cheap and asking is not.
type inFlight struct {
	lanes [inFlightLanes]struct {
		n atomic.Int64
		_ [120]byte // two cache lines of its own: processors fetch them in pairs
	}
}

// of is where messages of a session are counted.
func (f *inFlight) of(session int64) *atomic.Int64 {
	return &f.lanes[uint64(session)%inFlightLanes].n
}

func (f *inFlight) sum() (total int) {
	for i := range f.lanes {
		total += int(f.lanes[i].n.Load())
	}
	return total
}

// InFlight is the number of handlers that run, or wait to, for this server's
// own clients, and of remotes that run although their caller waits no more.
// What other servers wait for is counted by cluster.RPCServer.Unanswered.
func (d *Dispatcher) InFlight() int { return d.inFlight.sum() }
