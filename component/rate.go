package component

import (
	"fmt"
	"slices"
	"time"
)

// Rate is how often one session may call a method.
type Rate struct {
	// N calls per Per; both are above zero where there is a limit.
	N   int
	Per time.Duration
}

// Throttle is what [WithRate] returns: an option of a component and of a single
// route.
type Throttle struct {
	rate    Rate
	methods []string
}

// WithRate lets each session call a handler n times per the given time, all of
// them at once if it likes. A request beyond that is answered with RateLimited
// (PIT-429), a notify is dropped, and the handler does not run; a client that
// keeps on calling a handler of its frontend is disconnected. n or per of 0 is
// no limit. methods are names as they stand in routes; none means every handler
// of the component, each by itself. As an option of a single route it takes no
// names. It concerns messages of clients, not calls of servers: naming a remote
// is an error.
func WithRate(n int, per time.Duration, methods ...string) Throttle {
	return Throttle{rate: Rate{N: n, Per: per}, methods: slices.Clone(methods)}
}

func (r Throttle) applyComponent(o *options) { o.chosen = append(o.chosen, r) }

func (r Throttle) applyRoute(m *Method) error {
	switch {
	case r.rate.N < 0 || r.rate.Per < 0:
		return fmt.Errorf("%q: WithRate is given %d per %v; neither may be negative", m.Name, r.rate.N, r.rate.Per)
	case !r.suits(m):
		return fmt.Errorf("%q: WithRate is for handlers, and this is a remote", m.Name)
	}
	m.Rate = r.rate
	return nil
}

func (Throttle) title() string        { return "WithRate" }
func (Throttle) audience() string     { return "handlers" }
func (r Throttle) names() []string    { return r.methods }
func (Throttle) suits(m *Method) bool { return m.as == asHandlers }
