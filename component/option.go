package component

import "slices"

// Option changes how a component is registered.
type Option interface {
	applyComponent(o *options)
}

// RouteOption changes one route listed by a Routes method.
type RouteOption interface {
	applyRoute(m *Method)
}

type options struct {
	service    string
	nameFunc   func(string) string
	concurrent []Concurrency
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

func (c Concurrency) applyComponent(o *options) { o.concurrent = append(o.concurrent, c) }

func (c Concurrency) applyRoute(m *Method) { m.Concurrent = true }
