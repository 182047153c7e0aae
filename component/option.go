package component

import (
	"fmt"
	"slices"
)

// Option changes how a component is registered.
type Option interface {
	applyComponent(o *options)
}

// RouteOption changes one route listed by a Routes method.
type RouteOption interface {
	applyRoute(m *Method) error
}

type options struct {
	service  string
	nameFunc func(string) string
	chosen   []chooser
}

// chooser is an option of a component for some of its methods, or for all.
type chooser interface {
	RouteOption
	title() string
	audience() string     // what it is for
	names() []string      // empty: every method that it suits
	suits(m *Method) bool // concerns m when it names none
}

type optionFunc func(*options)

func (f optionFunc) applyComponent(o *options) { f(o) }

// WithName sets the service part of the component's routes. Without it the
// service is the name of the component's type, unchanged: a *Lobby is "Lobby".
func WithName(service string) Option {
	return optionFunc(func(o *options) { o.service = service })
}

// WithNameFunc derives the method part of a route from the name of the Go
// method, strings.ToLower for example. Without it the name is that of the Go
// method, unchanged: "Join". It concerns methods that are found; names that a
// Routes method lists stay as they are. It does not change the service, which
// WithName does: with strings.ToLower alone, Join of a *Lobby is "Lobby.join".
func WithNameFunc(f func(method string) string) Option {
	return optionFunc(func(o *options) { o.nameFunc = f })
}

// Concurrency is what [WithConcurrent] returns: an option of a component and
// of a single route.
type Concurrency struct {
	methods []string
}

// WithConcurrent lets handlers of one session run at the same time as its
// other handlers, in no particular order; without it they run one at a time,
// in the order sent. methods are names as they stand in routes; none means
// every method of the component. As an option of a single route it takes no
// names.
func WithConcurrent(methods ...string) Concurrency {
	return Concurrency{methods: slices.Clone(methods)}
}

func (c Concurrency) applyComponent(o *options) { o.chosen = append(o.chosen, c) }

func (c Concurrency) applyRoute(m *Method) error {
	m.Concurrent = true
	return nil
}

func (Concurrency) title() string        { return "WithConcurrent" }
func (Concurrency) audience() string     { return "methods" }
func (c Concurrency) names() []string    { return c.methods }
func (Concurrency) suits(_ *Method) bool { return true }

// Limitation is what [WithLimit] returns: an option of a component and of a
// single route.
type Limitation struct {
	limit   int
	methods []string
}

// WithLimit has at most n calls of a remote run at once on this server; what
// comes beyond is answered with Busy (PIT-503) at once, so that callers try
// another server or later. n is at least 1. It takes the place of the share
// that a remote has otherwise (config cluster.rpc.server.routeshare) and may be
// larger; the limit of all remotes together stays. methods are names as they
// stand in routes; none means every remote of the component, each by itself. As
// an option of a single route it takes no names. Handlers have no such limit:
// naming one is an error.
func WithLimit(n int, methods ...string) Limitation {
	return Limitation{limit: n, methods: slices.Clone(methods)}
}

func (l Limitation) applyComponent(o *options) { o.chosen = append(o.chosen, l) }

func (l Limitation) applyRoute(m *Method) error {
	switch {
	case l.limit < 1:
		return fmt.Errorf("%q: WithLimit is given %d; it takes at least 1", m.Name, l.limit)
	case !l.suits(m):
		return fmt.Errorf("%q: WithLimit is for remotes, and this is a handler", m.Name)
	}
	m.Limit = l.limit
	return nil
}

func (Limitation) title() string        { return "WithLimit" }
func (Limitation) audience() string     { return "remotes" }
func (l Limitation) names() []string    { return l.methods }
func (Limitation) suits(m *Method) bool { return m.as == asRemotes }
