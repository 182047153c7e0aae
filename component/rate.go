package component

import "time"

// Rate is what [WithRate] returns: an option of a single route.
type Rate struct {
	// N calls per Per; both are above zero where there is a limit.
	N   int
	Per time.Duration
}

// WithRate lets each session call a handler n times per the given time, all of
// them at once if it likes. A request beyond that is answered with RateLimited
// (PIT-429), a notify is dropped, and the handler does not run; a client that
// keeps on calling a handler of its frontend is disconnected. n or per of 0 is
// no limit. It concerns messages of clients, not calls of servers.
func WithRate(n int, per time.Duration) Rate { return Rate{N: n, Per: per} }

func (r Rate) applyRoute(m *Method) { m.Rate = r }
