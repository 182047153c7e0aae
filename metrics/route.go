package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

// timings are the metrics with a label route. A summary with quantiles takes a
// lock and 0.5 to 0.6 us for each observation, a histogram 0.04 us
// (BenchmarkSummary). So Pitaya's summaries have sum and count only, which is
// as cheap, and quantiles come from the histograms.
type timings struct {
	duration *prometheus.HistogramVec
	response *prometheus.SummaryVec
	waiting  *prometheus.HistogramVec
	delay    *prometheus.SummaryVec
}

func newTimings(f *factory) timings {
	return timings{
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
	local    func() wait
	remote   func() wait
}

// answers times one kind of requests of one route.
type answers struct {
	duration prometheus.Observer
	ok       outcome
	failed   *bounded[outcome]
}

// outcome is the summaries that one code counts in.
type outcome []prometheus.Observer

type wait struct{ seconds, nanoseconds prometheus.Observer }

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
	a.duration.Observe(took.Seconds())
	out := a.ok
	if code != "" {
		out = a.failed.value(code)
	}
	for _, o := range out {
		o.Observe(float64(took))
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

func (w wait) observe(d time.Duration) {
	w.seconds.Observe(d.Seconds())
	w.nanoseconds.Observe(float64(d))
}

func (m *Metrics) newRoute(route string) *RouteMetrics {
	r := &RouteMetrics{
		local:  sync.OnceValue(func() wait { return m.newWait(route, "local") }),
		remote: sync.OnceValue(func() wait { return m.newWait(route, "remote") }),
	}
	for kind := range kinds {
		r.answered[kind] = sync.OnceValue(func() *answers { return m.newAnswers(route, kind) })
	}
	return r
}

func (m *Metrics) newWait(route, kind string) wait {
	return wait{m.timings.waiting.WithLabelValues(kind, route), m.timings.delay.WithLabelValues(route, kind)}
}

func (m *Metrics) newAnswers(route string, kind Kind) *answers {
	outcomes := func(status, code string) outcome {
		var out outcome
		for _, t := range kind.types() {
			out = append(out, m.timings.response.WithLabelValues(route, status, t, code))
		}
		return out
	}
	return &answers{
		duration: m.timings.duration.WithLabelValues(kind.String(), route),
		ok:       outcomes("ok", ""),
		failed:   newBounded(maxCodes, other, func(code string) outcome { return outcomes("failed", code) }),
	}
}
