package metrics_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cereus-game/cereus/metrics"
)

// What a request costs: the lookup of its route, its delay and its answer.
func BenchmarkRequest(b *testing.B) {
	m := fresh(b)
	m.RegisterRoute("room.lobby.join")
	b.ReportAllocs()
	for b.Loop() {
		r := m.Route("room.lobby.join")
		r.WaitedLocal(time.Microsecond)
		r.Answered(metrics.KindLocal, time.Millisecond, "")
	}
}

func BenchmarkRequestParallel(b *testing.B) {
	m := fresh(b)
	m.RegisterRoute("room.lobby.join")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := m.Route("room.lobby.join")
			r.WaitedLocal(time.Microsecond)
			r.Answered(metrics.KindLocal, time.Millisecond, "")
		}
	})
}

func BenchmarkAnswered(b *testing.B) {
	m := fresh(b)
	m.RegisterRoute("room.lobby.join")
	r := m.Route("room.lobby.join")
	b.ReportAllocs()
	for b.Loop() {
		r.Answered(metrics.KindLocal, time.Millisecond, "")
	}
}

func BenchmarkRoute(b *testing.B) {
	m := fresh(b)
	m.RegisterRoute("room.lobby.join")
	for b.Loop() {
		_ = m.Route("room.lobby.join")
	}
}

func BenchmarkReason(b *testing.B) {
	m := fresh(b)
	b.ReportAllocs()
	for b.Loop() {
		m.RPCCall("ok")
	}
}

// What Pitaya's summary with quantiles costs, beside one without and a histogram.
func BenchmarkSummary(b *testing.B) {
	for name, o := range map[string]prometheus.Observer{
		"quantiles": prometheus.NewSummary(prometheus.SummaryOpts{Name: "a", Help: "a", Objectives: map[float64]float64{.7: .02, .95: .005, .99: .001}}),
		"plain":     prometheus.NewSummary(prometheus.SummaryOpts{Name: "b", Help: "b"}),
		"histogram": prometheus.NewHistogram(prometheus.HistogramOpts{Name: "c", Help: "c", Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
	} {
		values := make([]float64, 1<<12)
		for i := range values {
			values[i] = rand.ExpFloat64() / 100
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				o.Observe(values[i%len(values)])
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					o.Observe(values[i%len(values)])
				}
			})
		})
	}
}
