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
	view       func() *DiscoveryView
	stale, age viewGauge
}

type viewGauge struct {
	definition
	desc *prometheus.Desc
}

func newViewCollector(view func() *DiscoveryView) *viewCollector {
	gauge := func(name, help string) viewGauge {
		return viewGauge{definition{name: name, kind: "gauge", help: help}, prometheus.NewDesc(name, help, nil, nil)}
	}
	return &viewCollector{
		view:  view,
		stale: gauge("cereus_sd_stale", "1 while the view may be old because etcd is away, else 0"),
		age:   gauge("cereus_sd_last_sync_seconds", "seconds since the view was last compared with etcd; absent before the first time"),
	}
}

func (c *viewCollector) definitions() []definition {
	return []definition{c.stale.definition, c.age.definition}
}

// Describe implements prometheus.Collector.
func (c *viewCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.stale.desc
	descs <- c.age.desc
}

// Collect implements prometheus.Collector.
func (c *viewCollector) Collect(out chan<- prometheus.Metric) {
	p := c.view()
	if p == nil {
		return
	}
	stale := 0.0
	if (*p).Stale() {
		stale = 1
	}
	out <- prometheus.MustNewConstMetric(c.stale.desc, prometheus.GaugeValue, stale)
	if at := (*p).LastSync(); !at.IsZero() {
		out <- prometheus.MustNewConstMetric(c.age.desc, prometheus.GaugeValue, time.Since(at).Seconds())
	}
}
