package metrics

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Sizes of a timer.
const (
	durationBounds = 16
	timerLanes     = 4
)

// timer counts how long things took. The metrics about that are made of it when
// they are read, so that one measurement costs two additions: as observations of
// the library's histograms and summaries, measuring was a fifth of what a local
// request costs.
type timer struct {
	bounds *[durationBounds]time.Duration // shared
	lanes  [timerLanes]timerLane
}

// timerLane is one part of what was counted. Who measures takes any, so that
// processors seldom write to the same memory.
type timerLane struct {
	counts [durationBounds + 1]atomic.Uint64 // what took up to each bound, and what took longer
	total  atomic.Int64                      // nanoseconds
	_      [112]byte                         // whole cache lines of its own, which are fetched in pairs
}

func (t *timer) observe(took time.Duration) {
	i := 0
	for i < len(t.bounds) && took > t.bounds[i] {
		i++
	}
	lane := &t.lanes[rand.Uint32()%timerLanes]
	lane.counts[i].Add(1)
	lane.total.Add(int64(took))
}

// addTo adds what was counted.
func (t *timer) addTo(sum *timings) {
	for i := range t.lanes {
		for bound := range sum.counts {
			sum.counts[bound] += t.lanes[i].counts[bound].Load()
		}
		sum.total += time.Duration(t.lanes[i].total.Load())
	}
}

// timings is what some timers counted.
type timings struct {
	counts [durationBounds + 1]uint64
	total  time.Duration
}

// timed is a metric that is read from timers.
type timed struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair
	write  func(to *dto.Metric, sum *timings)

	mu    sync.Mutex // guards parts
	parts []*timer
}

// Desc is of prometheus.Metric.
func (m *timed) Desc() *prometheus.Desc { return m.desc }

// Write is of prometheus.Metric.
func (m *timed) Write(to *dto.Metric) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum timings
	for _, t := range m.parts {
		t.addTo(&sum)
	}
	to.Label = m.labels
	m.write(to, &sum)
	return nil
}

func (m *timed) add(t *timer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts = append(m.parts, t)
}

// timedVec are the metrics of one name.
type timedVec struct{ *prometheus.MetricVec }

// read has the metric with these values of its labels read from t, too.
func (v timedVec) read(t *timer, labels ...string) {
	m, err := v.GetMetricWithLabelValues(labels...)
	if err != nil {
		panic(err) // of another number of labels than it was made with
	}
	m.(*timed).add(t)
}

// histograms are read as seconds.
func (f *factory) histograms(name, help string, labels ...string) timedVec {
	bounds := durationBuckets()
	return f.timed(definition{name, "histogram", help, labels}, func(to *dto.Metric, sum *timings) {
		h := &dto.Histogram{SampleSum: new(sum.total.Seconds())}
		below := uint64(0)
		for i, bound := range bounds {
			below += sum.counts[i]
			h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(bound.Seconds()), CumulativeCount: new(below)})
		}
		h.SampleCount = new(below + sum.counts[durationBounds])
		to.Histogram = h
	})
}

// summaries are read as nanoseconds, sum and count only.
func (f *factory) summaries(name, help string, labels ...string) timedVec {
	return f.timed(definition{name, "summary (sum and count)", help, labels}, func(to *dto.Metric, sum *timings) {
		count := uint64(0)
		for _, n := range sum.counts {
			count += n
		}
		to.Summary = &dto.Summary{SampleCount: new(count), SampleSum: new(float64(sum.total))}
	})
}

func (f *factory) timed(d definition, write func(*dto.Metric, *timings)) timedVec {
	desc := prometheus.NewDesc(d.name, d.help, d.labels, nil)
	v := timedVec{prometheus.NewMetricVec(desc, func(values ...string) prometheus.Metric {
		return &timed{desc: desc, labels: prometheus.MakeLabelPairs(desc, values), write: write}
	})}
	f.defined = append(f.defined, d)
	f.register(v)
	return v
}

// durationBuckets are upper bounds, from a local handler to the request timeout.
func durationBuckets() [durationBounds]time.Duration {
	const us, ms = time.Microsecond, time.Millisecond
	return [durationBounds]time.Duration{
		100 * us, 250 * us, 500 * us, ms, 2500 * us, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
		time.Second, 2500 * ms, 5 * time.Second, 10 * time.Second,
	}
}
