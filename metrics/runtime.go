package metrics

import (
	"runtime/metrics"

	"github.com/prometheus/client_golang/prometheus"
)

// runtimeCollector reads the state of the Go runtime when it is asked for it,
// where Pitaya has a ticker.
type runtimeCollector struct{ gauges []runtimeGauge }

type runtimeGauge struct {
	definition
	sample string
	desc   *prometheus.Desc
}

func newRuntimeCollector() *runtimeCollector {
	c := &runtimeCollector{}
	add := func(name, help, sample string) {
		d := definition{name: name, kind: "gauge", help: help}
		c.gauges = append(c.gauges, runtimeGauge{d, sample, prometheus.NewDesc(name, help, nil, nil)})
	}
	add("pitaya_sys_goroutines", "goroutines", "/sched/goroutines:goroutines")
	add("pitaya_sys_heapsize", "bytes of live objects on the heap", "/memory/classes/heap/objects:bytes")
	add("pitaya_sys_heapobjects", "live objects on the heap", "/gc/heap/objects:objects")
	return c
}

func (c *runtimeCollector) definitions() []definition {
	var all []definition
	for _, g := range c.gauges {
		all = append(all, g.definition)
	}
	return all
}

// Describe implements prometheus.Collector.
func (c *runtimeCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, g := range c.gauges {
		descs <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c *runtimeCollector) Collect(out chan<- prometheus.Metric) {
	samples := make([]metrics.Sample, len(c.gauges))
	for i, g := range c.gauges {
		samples[i].Name = g.sample
	}
	metrics.Read(samples)
	for i, g := range c.gauges {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(samples[i].Value.Uint64()))
		}
	}
}
