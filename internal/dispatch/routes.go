package dispatch

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/cereus-game/cereus/component"
	"github.com/cereus-game/cereus/metrics"
	"github.com/cereus-game/cereus/pipeline"
	address "github.com/cereus-game/cereus/route"
)

// knownRoutes bounds the routes of other servers that are remembered; clients
// choose them, so what comes beyond is parsed each time.
const knownRoutes = 4096

// route is a parsed route with what serves it.
type route struct {
	address.Route
	text    string // as the client wrote it
	full    string // with the server type
	local   *endpoint
	metrics atomic.Pointer[metrics.RouteMetrics] // nil until it has series of its own
}

// concurrent reports whether a handler of this server need not wait for its turn.
func (r *route) concurrent() bool {
	return r.local != nil && r.local.method != nil && r.local.method.Concurrent
}

// endpoint is what runs for a route on this server.
type endpoint struct {
	method  *component.Method // nil: there is none, and failure says so
	handle  pipeline.Handler  // the method inside its pipeline
	failure error             // the answer when method is nil

	limit   int64 // of calls on workers at once; 0: none
	running atomic.Int64
}

// routes finds the route of a message without parsing or allocating for those
// it knows. Lookups take no lock; the map is replaced when it grows.
type routes struct {
	d     *Dispatcher
	mu    sync.Mutex // guards writing known
	known atomic.Pointer[map[string]*route]
}

// init enters the handlers of this server, in both their forms.
func (r *routes) init(d *Dispatcher) {
	r.d = d
	known := make(map[string]*route)
	for _, e := range d.handlers {
		parsed := address.Route{ServerType: d.Self.Type, Service: e.method.Service, Method: e.method.Name}
		full := parsed.String()
		d.Metrics.RegisterRoute(full)
		for _, text := range []string{full, parsed.Short()} {
			known[text] = &route{Route: parsed, text: text, full: full, local: e}
			known[text].metrics.Store(d.Metrics.Route(full))
		}
	}
	r.known.Store(&known)
}

// intern returns the text of a known route, so that decoding it allocates nothing.
func (r *routes) intern(b []byte) string {
	if known, ok := (*r.known.Load())[string(b)]; ok {
		return known.text
	}
	return string(b)
}

func (r *routes) find(text string) *route {
	if known, ok := (*r.known.Load())[text]; ok {
		return known
	}
	found := r.parse(text)
	if found.local == nil {
		r.remember(found)
	}
	return found
}

// parse makes the route of a text that no handler of this server has.
func (r *routes) parse(text string) *route {
	parsed, err := address.Parse(text)
	if err != nil {
		return &route{text: text, full: text, local: &endpoint{failure: err}}
	}
	if parsed.ServerType == "" || parsed.ServerType == r.d.Self.Type {
		parsed.ServerType = r.d.Self.Type
		full := parsed.String()
		return &route{Route: parsed, text: text, full: full, local: &endpoint{failure: handlerNotFound(full)}}
	}
	return &route{Route: parsed, text: text, full: text}
}

func (r *routes) remember(found *route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.known.Load()
	if len(old) >= knownRoutes {
		return
	}
	if r.d.discovery == nil || len(r.d.discovery.ServersByType(found.ServerType)) == 0 {
		return // an invented type: nothing worth a place
	}
	next := maps.Clone(old)
	next[found.text] = found
	r.known.Store(&next)
}

// timers are the route's own once an answer showed that the route exists, and
// those of all unknown routes before: what clients make up gets no series.
func (r *route) timers(d *Dispatcher, err error) *metrics.RouteMetrics {
	if m := r.metrics.Load(); m != nil {
		return m
	}
	m := d.timers(r.full, err)
	if exists(err) {
		r.metrics.Store(m)
	}
	return m
}

func (d *Dispatcher) timers(full string, err error) *metrics.RouteMetrics {
	if exists(err) {
		d.Metrics.RegisterRoute(full)
	}
	return d.Metrics.Route(full)
}

// exists reports whether an answer shows that its route is a real one.
func exists(err error) bool { return err == nil }

// Intern is protocol.Decoding.Intern for the routes that are known.
func (d *Dispatcher) Intern(text []byte) string { return d.routes.intern(text) }
