package metrics

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Custom is a metric of the application, named pitaya_<Subsystem>_<Name>.
type Custom struct {
	Type       CustomType
	Subsystem  string
	Name       string
	Help       string // Name when empty
	Labels     []string
	Objectives map[float64]float64 // of a summary: quantile to allowed error
	Buckets    []float64           // of a histogram: upper bounds, rising
}

// CustomType says what a custom metric is.
type CustomType string

// The types of custom metrics.
const (
	Counter   CustomType = "counter"
	Gauge     CustomType = "gauge"
	Summary   CustomType = "summary"
	Histogram CustomType = "histogram"
)

// custom is a registered metric of the application and its labels with their
// values where the caller gives none.
type custom struct {
	names    []string
	defaults map[string]string
	report   func(labels []string, value float64)
}

// Report adds value to the custom counter of that name, sets the gauge to it,
// or lets the summary or histogram observe it. Labels that are not given have
// the value of AdditionalLabels, else "". It fails when there is no such
// metric, on a label that it does not have, and on a counter that would fall.
// The values of labels are the caller's to bound.
func (m *Metrics) Report(name string, labels map[string]string, value float64) error {
	if m == nil {
		return nil
	}
	c, ok := m.custom[name]
	if !ok {
		return fmt.Errorf("metrics: there is no custom metric %q: list it under metrics.custom", name)
	}
	values := make([]string, len(c.names))
	given := 0
	for i, label := range c.names {
		v, ok := labels[label]
		if ok {
			given++
		} else {
			v = c.defaults[label]
		}
		values[i] = v
	}
	if given != len(labels) {
		return fmt.Errorf("metrics: custom metric %q has the labels %q only", name, c.names)
	}
	return c.set(name, values, value)
}

// set turns the panics of client_golang, on invalid UTF-8 or a negative count,
// into errors.
func (c *custom) set(name string, labels []string, value float64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("metrics: report custom metric %q: %v", name, r)
		}
	}()
	c.report(labels, value)
	return nil
}

func (m *Metrics) addCustom(p Params) error {
	m.custom = make(map[string]*custom, len(p.Custom))
	into := prometheus.WrapRegistererWith(p.constLabels(), m.registry)
	var faults []error
	for _, spec := range p.Custom {
		if _, twice := m.custom[spec.Name]; twice {
			faults = append(faults, fmt.Errorf("metrics: two custom metrics are named %q", spec.Name))
			continue
		}
		c, collector, err := spec.build(p.AdditionalLabels)
		if err == nil {
			err = into.Register(collector)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("metrics: custom metric %q: %w", spec.Name, err))
			continue
		}
		m.custom[spec.Name] = c
	}
	return errors.Join(faults...)
}

func (s Custom) build(additional map[string]string) (c *custom, collector prometheus.Collector, err error) {
	defer func() {
		if r := recover(); r != nil { // client_golang panics on bad buckets
			err = fmt.Errorf("%v", r)
		}
	}()
	c = &custom{names: slices.Clone(s.Labels), defaults: additional}
	for _, name := range slices.Sorted(maps.Keys(additional)) {
		if !slices.Contains(c.names, name) {
			c.names = append(c.names, name)
		}
	}
	for _, name := range c.names {
		if !validLabel(name) {
			return nil, nil, fmt.Errorf("label %q: use letters, digits and _, not a digit or __ first", name)
		}
	}
	collector, err = s.collector(c)
	return c, collector, err
}

func (s Custom) collector(c *custom) (prometheus.Collector, error) {
	opts := prometheus.Opts{Namespace: "pitaya", Subsystem: s.Subsystem, Name: s.Name, Help: s.Help}
	if opts.Help == "" {
		opts.Help = s.Name
	}
	switch s.Type {
	case Counter:
		v := prometheus.NewCounterVec(prometheus.CounterOpts(opts), c.names)
		c.report = func(l []string, x float64) { v.WithLabelValues(l...).Add(x) }
		return v, nil
	case Gauge:
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts(opts), c.names)
		c.report = func(l []string, x float64) { v.WithLabelValues(l...).Set(x) }
		return v, nil
	case Summary:
		v := prometheus.NewSummaryVec(prometheus.SummaryOpts{Namespace: opts.Namespace, Subsystem: opts.Subsystem,
			Name: opts.Name, Help: opts.Help, Objectives: s.Objectives}, c.names)
		c.report = func(l []string, x float64) { v.WithLabelValues(l...).Observe(x) }
		return v, nil
	case Histogram:
		histogram := prometheus.HistogramOpts{Namespace: opts.Namespace, Subsystem: opts.Subsystem,
			Name: opts.Name, Help: opts.Help, Buckets: s.Buckets}
		prometheus.NewHistogram(histogram) // panics now rather than at the first Report
		v := prometheus.NewHistogramVec(histogram, c.names)
		c.report = func(l []string, x float64) { v.WithLabelValues(l...).Observe(x) }
		return v, nil
	default:
		return nil, fmt.Errorf("type %q: use counter, gauge, summary or histogram", s.Type)
	}
}
