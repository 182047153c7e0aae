package dispatch

import (
	"time"

	"github.com/cereus-game/cereus/cluster"
)

// reportCounts is how long a report of a server's load counts, less and less:
// all servers act on the same reports, and would send everything to the one
// that had least to do a while ago.
const reportCounts = time.Second

// LoadReports is what servers told of their load, and how long ago; ok is false
// for one that did not (cluster.Loads.Of).
type LoadReports func(id string) (load cluster.Load, age time.Duration, ok bool)

// Load is how busy a server is for a router, 1 and more: the calls and forwards
// of this process that wait for it, and what it told of itself, of which the
// work of others counts less as the report gets older. It takes no lock and
// allocates nothing.
func (d *Dispatcher) Load(s *cluster.Server) float64 {
	var own float64
	if t, ok := d.targets.Load(keyOf(s)); ok {
		own = float64(t.vitals.calls.Load())
	}
	if d.Loads == nil {
		return 1 + own
	}
	told, age, ok := d.Loads(s.ID)
	if !ok {
		return 1 + own
	}
	others := max(0, float64(told.InFlight)-own) * max(0, 1-age.Seconds()/reportCounts.Seconds())
	return (1 + own + others) * (1 + told.CPU)
}
