package metrics

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Params is what New needs. The zero value works.
type Params struct {
	// Game and ServerType are labels of every metric.
	Game       string
	ServerType string
	// ConstLabels are further labels of every metric.
	ConstLabels map[string]string
	// AdditionalLabels are labels of every metric with the value they have
	// when a caller gives none. Only custom metrics take values from callers.
	AdditionalLabels map[string]string
	// Custom are metrics of the application.
	Custom []Custom
}

// Metrics holds the collectors of one app. Its methods may be called from any
// goroutine, and on a nil *Metrics, where they do nothing.
type Metrics struct {
	registry *prometheus.Registry
	events   events
	timings  routeTimings
	routes   *bounded[*RouteMetrics]
	custom   map[string]*custom
	view     atomic.Pointer[DiscoveryView]
}

// New makes the collectors of one app and its registry. It fails, naming every
// fault, on label names that Prometheus refuses and on custom metrics that
// cannot be registered.
func New(p Params) (*Metrics, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	m := &Metrics{registry: prometheus.NewRegistry()}
	f := &factory{into: prometheus.WrapRegistererWith(p.labels(), m.registry)}
	m.events = newEvents(f)
	m.timings = newTimings(f)
	m.routes = newBounded(maxRoutes, unknownRoute, m.newRoute)
	f.register(newRuntimeCollector())
	f.register(newViewCollector(m.view.Load))
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, errors.Join(f.err, m.addCustom(p))
}

// Registry is where all metrics of the app are gathered from. On a nil
// *Metrics it is empty.
func (m *Metrics) Registry() prometheus.Gatherer {
	if m == nil {
		return prometheus.Gatherers{}
	}
	return m.registry
}

// Register adds a collector of the application to the registry. It carries no
// labels but its own.
func (m *Metrics) Register(c prometheus.Collector) error {
	if m == nil {
		return nil
	}
	if err := m.registry.Register(c); err != nil {
		return fmt.Errorf("metrics: register a collector: %w", err)
	}
	return nil
}

func (p Params) constLabels() prometheus.Labels {
	labels := prometheus.Labels{}
	maps.Copy(labels, p.ConstLabels)
	labels["game"] = p.Game
	labels["serverType"] = p.ServerType
	return labels
}

func (p Params) labels() prometheus.Labels {
	labels := prometheus.Labels{}
	maps.Copy(labels, p.AdditionalLabels)
	maps.Copy(labels, p.constLabels())
	return labels
}

func reservedLabels() []string {
	return []string{"route", "status", "type", "code", "kind", "reason", "where", "outcome", "connection"}
}

func (p Params) validate() error {
	var faults []error
	seen := map[string]string{"game": "every metric", "serverType": "every metric"}
	for _, l := range reservedLabels() {
		seen[l] = "a metric of cereus"
	}
	check := func(labels map[string]string, where string) {
		for name := range labels {
			if by, taken := seen[name]; taken {
				faults = append(faults, fmt.Errorf("metrics: label %q of %s is already a label of %s: rename it", name, where, by))
				continue
			}
			seen[name] = where
			if !validLabel(name) {
				faults = append(faults, fmt.Errorf("metrics: label %q of %s: use letters, digits and _, not a digit or __ first", name, where))
			}
		}
	}
	check(p.ConstLabels, "ConstLabels")
	check(p.AdditionalLabels, "AdditionalLabels")
	return errors.Join(faults...)
}

func validLabel(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && (len(name) < 2 || name[:2] != "__")
}
