package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DiscoveryView is what service discovery knows of its view of the cluster.
type DiscoveryView interface {
	// Stale reports that the view may be old because its source is away.
	Stale() bool
	// LastSync is when the view was last compared with its source; zero for never.
	LastSync() time.Time
	// IsConnected reports that the source answers.
	IsConnected() bool
	// Registered reports that this server is known to the others.
	Registered() bool
	// IsLeader reports that this server leads its type.
	IsLeader() bool
}

// WatchDiscovery has the age of the view read whenever the metrics are.
func (m *Metrics) WatchDiscovery(v DiscoveryView) {
	if m != nil {
		m.view.Store(&v)
	}
}

// viewCollector tells of the discovery view; there is nothing to tell without
// WatchDiscovery, and no age before the first sync.
type viewCollector struct {
	view  func() *DiscoveryView
	facts []viewFact
	age   viewGauge
}

type viewGauge struct {
	definition
	desc *prometheus.Desc
}

// viewFact is a gauge that is 1 or 0.
type viewFact struct {
	viewGauge
	holds func(DiscoveryView) bool
}

func newViewCollector(view func() *DiscoveryView) *viewCollector {
	gauge := func(name, help string) viewGauge {
		return viewGauge{definition{name: name, kind: "gauge", help: help}, prometheus.NewDesc(name, help, nil, nil)}
	}
	fact := func(name, help string, holds func(DiscoveryView) bool) viewFact {
		return viewFact{gauge(name, "1 while "+help+", else 0"), holds}
	}
	return &viewCollector{
		view: view,
		facts: []viewFact{
			fact("cereus_sd_stale", "the view may be old because etcd is away", DiscoveryView.Stale),
			fact("cereus_sd_connected", "there is a connection to etcd", DiscoveryView.IsConnected),
			fact("cereus_sd_registered", "this server's key is in etcd under a lease that has not run out", DiscoveryView.Registered),
			fact("cereus_sd_leader", "this server leads its type", DiscoveryView.IsLeader),
		},
		age: gauge("cereus_sd_last_sync_seconds", "seconds since the view was last compared with etcd; absent before the first time"),
	}
}

func (c *viewCollector) definitions() []definition {
	var all []definition
	for _, f := range c.facts {
		all = append(all, f.definition)
	}
	return append(all, c.age.definition)
}

// Describe implements prometheus.Collector.
func (c *viewCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, f := range c.facts {
		descs <- f.desc
	}
	descs <- c.age.desc
}

// Collect implements prometheus.Collector.
func (c *viewCollector) Collect(out chan<- prometheus.Metric) {
	p := c.view()
	if p == nil {
		return
	}
	for _, f := range c.facts {
		value := 0.0
		if f.holds(*p) {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, value)
	}
	if at := (*p).LastSync(); !at.IsZero() {
		out <- prometheus.MustNewConstMetric(c.age.desc, prometheus.GaugeValue, time.Since(at).Seconds())
	}
}
