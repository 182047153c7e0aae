package cluster

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchServers is a cluster in which everybody hears everybody.
const benchServers = 50

// benchReport is a report with a few values of a game.
func benchReport() *loadReport {
	return &loadReport{
		id: "5b6f6a0e-7a53-4a7c-9d6e-0f4f4e1f9c11", serverType: "room", nonce: "Gx7kTQ0aJ5oYwZ1sVbN9mP", interval: time.Second,
		load: Load{
			CPU: 0.37, Memory: 512 << 20, Goroutines: 2345, Sessions: 10_000, InFlight: 87,
			Values: map[string]float64{"matches": 120, "queue": 3, "tick.ms": 16.6, "fill": 0.8},
		},
	}
}

func BenchmarkLoadEncode(b *testing.B) {
	r, pool := benchReport(), new(bufferPool)
	b.ReportAllocs()
	var size int
	for b.Loop() {
		body, err := pool.encode(r.message())
		require.NoError(b, err)
		size = len(body.b)
		body.release()
	}
	b.ReportMetric(float64(size), "bytes/report")
}

// BenchmarkLoadHear is decoding, looking the server up, and keeping what it told.
func BenchmarkLoadHear(b *testing.B) {
	registry := NewMemoryRegistry()
	told := benchReport()
	require.NoError(b, registry.put(&Server{ID: told.id, Type: told.serverType, Nonce: told.nonce}))
	discovery, err := NewMemoryDiscovery(registry, nil, nil)
	require.NoError(b, err)
	initModule(b, discovery)
	r := NewLoadReporter(LoadParams{Self: backendServer("here"), Discovery: discovery, Heard: func(string) {}})
	m := message{data: encodedLoad(b, told.message())}
	b.ReportAllocs()
	for b.Loop() {
		r.hear(m)
	}
	_, _, ok := r.Loads().Of(told.id)
	require.True(b, ok)
}

func BenchmarkLoadMeasure(b *testing.B) {
	s := newLoadSampler()
	b.ReportAllocs()
	for b.Loop() {
		s.measure()
	}
}

func BenchmarkLoadOf(b *testing.B) {
	loads := newLoads()
	loads.store("a", &heardLoad{nonce: "n", at: time.Now(), interval: time.Hour})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, ok := loads.Of("a"); !ok {
				b.Error("forgotten")
			}
		}
	})
}

// BenchmarkLoadRound is one interval of a whole cluster over NATS: each of 50
// servers tells its load and all 50 hear it. The processor time is that of
// everything together, the NATS server included, since all is in this process.
func BenchmarkLoadRound(b *testing.B) {
	nodes, registry := startNATS(b), NewMemoryRegistry()
	var heard atomic.Int64
	var reporters []*LoadReporter
	for i := range benchServers {
		self := backendServer(fmt.Sprint("server-", i))
		require.NoError(b, registry.put(self))
		discovery, err := NewMemoryDiscovery(registry, nil, nil)
		require.NoError(b, err)
		initModule(b, discovery)
		r := NewLoadReporter(LoadParams{
			Self: self, Transport: natsTransport(b, nodes.NATSURL(), self.ID, nil), Prefix: "cereus/", Discovery: discovery,
			Heard: func(string) { heard.Add(1) }, Values: func() map[string]float64 { return benchReport().load.Values },
		})
		initModule(b, r)
		reporters = append(reporters, r)
	}
	for _, r := range reporters {
		require.NoError(b, r.p.Discovery.SyncServers(testContext(b)))
	}
	used, rounds := processorTime(), 0
	for b.Loop() {
		rounds++
		for _, r := range reporters {
			r.report()
		}
		want := int64(rounds) * benchServers * (benchServers - 1)
		for deadline := time.Now().Add(patience); heard.Load() < want; <-time.After(100 * time.Microsecond) {
			if time.Now().After(deadline) {
				b.Fatalf("%d of %d reports were heard", heard.Load(), want)
			}
		}
	}
	spent := processorTime() - used
	b.ReportMetric(float64(spent.Microseconds())/float64(rounds), "cpu-us/round")
	b.ReportMetric(float64(spent.Microseconds())/float64(rounds)/benchServers, "cpu-us/server")
}
