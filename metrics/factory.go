package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of the label values of one metric.
const (
	maxValues = 64    // reasons, kinds, outcomes
	maxTypes  = 256   // server types
	maxCodes  = 32    // error codes of one route: applications have their own
	maxRoutes = 1_000 // routes
)

// definition is one metric as the documentation shows it.
type definition struct {
	name, kind, help string
	labels           []string
}

// factory makes and registers collectors and keeps what it made.
type factory struct {
	into    prometheus.Registerer
	err     error
	defined []definition
}

func (f *factory) register(c prometheus.Collector) {
	f.err = errors.Join(f.err, f.into.Register(c))
	if d, ok := c.(interface{ definitions() []definition }); ok {
		f.defined = append(f.defined, d.definitions()...)
	}
}

func (f *factory) define(name, kind, help string, labels ...string) {
	f.defined = append(f.defined, definition{name, kind, help, labels})
}

func (f *factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	f.define(name, "counter", help)
	f.register(c)
	return c
}

func (f *factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	f.define(name, "gauge", help)
	f.register(g)
	return g
}

func (f *factory) counters(name, label, help string) *bounded[prometheus.Counter] {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	f.define(name, "counter", help, label)
	f.register(v)
	return newBounded(maxValues, other, func(value string) prometheus.Counter { return v.WithLabelValues(value) })
}

func (f *factory) gauges(name, label, help string) *bounded[prometheus.Gauge] {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label})
	f.define(name, "gauge", help, label)
	f.register(v)
	return newBounded(maxTypes, other, func(value string) prometheus.Gauge { return v.WithLabelValues(value) })
}
