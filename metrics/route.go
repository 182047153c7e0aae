package metrics

import (
	"sync"
	"time"
)

// unknownRoute is the label of all routes that are not registered.
const unknownRoute = "unknown"

// Kind is the way a request takes.
type Kind int

// The kinds of requests that are timed.
const (
	KindLocal   Kind = iota // a client's request served by a handler of this server
	KindForward             // a client's request answered by another server
	KindRPC                 // a call of this server's code to another server
	kinds
)

// String is the value of the label kind.
func (k Kind) String() string { return [kinds]string{"local", "forward", "rpc"}[k] }

// types are the values that Pitaya's label type has for a kind: it reports a
// forwarded request twice.
func (k Kind) types() []string {
	return [kinds][]string{{"handler"}, {"handler", "rpc"}, {"rpc"}}[k]
}

// routeTimings are the metrics with a label route. Those in nanoseconds are
// Pitaya's; quantiles come from the histograms.
type routeTimings struct {
	bounds   [durationBounds]time.Duration
	duration timedVec
	response timedVec
	waiting  timedVec
	delay    timedVec
}

func newTimings(f *factory) routeTimings {
	return routeTimings{
		bounds:   durationBuckets(),
		duration: f.histograms("cereus_request_duration_seconds", "time from reading a request, or making a call, to its answer", "kind", "route"),
		response: f.summaries("pitaya_handler_response_time_ns", "the same in nanoseconds, by outcome", "route", "status", "type", "code"),
		waiting:  f.histograms("cereus_handler_delay_seconds", "time that a message waited for its handler to start", "type", "route"),
		delay:    f.summaries("pitaya_handler_handler_delay_ns", "the same in nanoseconds", "route", "type"),
	}
}

// RouteMetrics times the requests of one route. A nil *RouteMetrics does
// nothing. What it needs is made at the first use: a route that is only
// forwarded has no series of other kinds.
type RouteMetrics struct {
	answered [kinds]func() *answers
	local    func() *timer
	remote   func() *timer
}

// answers times one kind of requests of one route, by the code of the outcome.
type answers struct {
	ok     *timer
	failed *bounded[*timer]
}

// RegisterRoute gives a route series of its own, which all others share under
// "unknown". Register the routes of handlers and remotes at the start, and a
// route of another server when a call to it was first answered with anything
// but NotFound: what clients make up must not make series. It reports false
// when there are 1,000 routes already.
func (m *Metrics) RegisterRoute(route string) bool {
	if m == nil {
		return true
	}
	return m.routes.add(route)
}

// Route returns the timers of a registered route, else those of "unknown". It
// takes a few nanoseconds and no lock.
func (m *Metrics) Route(route string) *RouteMetrics {
	if m == nil {
		return nil
	}
	return m.routes.find(route)
}

// Answered times a request that ended: with code "" well, else with that error code.
func (r *RouteMetrics) Answered(kind Kind, took time.Duration, code string) {
	if r == nil {
		return
	}
	a := r.answered[kind]()
	if code == "" {
		a.ok.observe(took)
	} else {
		a.failed.value(code).observe(took)
	}
}

// WaitedLocal times how long a message waited for its handler on this server.
func (r *RouteMetrics) WaitedLocal(waited time.Duration) {
	if r != nil {
		r.local().observe(waited)
	}
}

// WaitedRemote times how long a message from another server waited to be started.
func (r *RouteMetrics) WaitedRemote(waited time.Duration) {
	if r != nil {
		r.remote().observe(waited)
	}
}

func (m *Metrics) newRoute(route string) *RouteMetrics {
	r := &RouteMetrics{
		local:  sync.OnceValue(func() *timer { return m.newWait(route, "local") }),
		remote: sync.OnceValue(func() *timer { return m.newWait(route, "remote") }),
	}
	for kind := range kinds {
		r.answered[kind] = sync.OnceValue(func() *answers { return m.newAnswers(route, kind) })
	}
	return r
}

func (m *Metrics) newWait(route, kind string) *timer {
	t := &timer{bounds: &m.timings.bounds}
	m.timings.waiting.read(t, kind, route)
	m.timings.delay.read(t, route, kind)
	return t
}

func (m *Metrics) newAnswers(route string, kind Kind) *answers {
	outcome := func(status, code string) *timer {
		t := &timer{bounds: &m.timings.bounds}
		m.timings.duration.read(t, kind.String(), route)
		for _, as := range kind.types() {
			m.timings.response.read(t, route, status, as, code)
		}
		return t
	}
	return &answers{
		ok:     outcome("ok", ""),
		failed: newBounded(maxCodes, other, func(code string) *timer { return outcome("failed", code) }),
	}
}
