package cluster

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

// The benchmarks alternate, in rounds, between our calls and raw NATS requests
// of the same size with the same number in flight, and report the median ratio
// of their speeds ("of_raw", above 1 is faster than raw). raw starts a goroutine
// per call in flight, because nats.Conn.Request has no other form.

func BenchmarkCall1(b *testing.B)  { benchmarkCalls(b, 1) }
func BenchmarkCall64(b *testing.B) { benchmarkCalls(b, 64) }

func benchmarkCalls(b *testing.B, callers int) {
	w := newBenchWorld(b)
	w.compare(b, callers, func(n int) {
		inParallel(callers, n, func() error {
			_, err := w.client.Call(b.Context(), w.room, w.req)
			return err
		})
	})
}

func BenchmarkGo1024(b *testing.B) {
	const inFlight = 1024
	w := newBenchWorld(b)
	w.compare(b, inFlight, func(n int) {
		free := make(chan struct{}, inFlight)
		for range n {
			free <- struct{}{}
			w.client.Go(w.room, w.req, 0, func(_ *clusterpb.Response, err error) {
				if err != nil {
					b.Error(err)
				}
				<-free
			})
		}
		for range inFlight {
			free <- struct{}{}
		}
	})
}

// BenchmarkCallAllocs counts the allocations of both sides of a call.
func BenchmarkCallAllocs(b *testing.B) {
	w := newBenchWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.client.Call(b.Context(), w.room, w.req); err != nil {
			b.Fatal(err)
		}
	}
}

type benchWorld struct {
	client *RPCClient
	room   *Server
	req    *clusterpb.Request
	raw    *nats.Conn
	data   []byte
}

func newBenchWorld(b *testing.B) *benchWorld {
	nodes := startNATS(b)
	w := &benchWorld{room: backendServer("back-1"), data: make([]byte, 128)}
	reply := &clusterpb.Response{Data: make([]byte, 128)}
	newTestServer(b, natsTransport(b, nodes.NATSURL(), "back", nil), w.room, func(in *Incoming) { in.Reply(reply) })
	w.client = newTestClient(b, natsTransport(b, nodes.NATSURL(), "front", nil), time.Minute)
	w.req = &clusterpb.Request{
		Session:    &clusterpb.Session{Id: 1, Uid: "u1", Data: []byte(`{"ipversion":"ipv4"}`)},
		Msg:        &clusterpb.Msg{Id: 3, Route: "room.lobby.join", Data: w.data},
		FrontendID: "front-1",
		Metadata:   []byte(`{"peer.id":"front-1","peer.service":"connector","reqTimeout":"5s"}`),
	}
	callee, err := nats.Connect(nodes.NATSURL())
	require.NoError(b, err)
	b.Cleanup(callee.Close)
	payload := make([]byte, 140)
	_, err = callee.Subscribe("raw/back-1", func(m *nats.Msg) { _ = m.Respond(payload) })
	require.NoError(b, err)
	require.NoError(b, callee.Flush())
	w.raw, err = nats.Connect(nodes.NATSURL())
	require.NoError(b, err)
	b.Cleanup(w.raw.Close)
	return w
}

// compare runs b.N of our calls, and as many raw ones, in rounds.
func (w *benchWorld) compare(b *testing.B, inFlight int, ours func(n int)) {
	payload := make([]byte, 280)
	raw := func(n int) {
		inParallel(inFlight, n, func() error {
			_, err := w.raw.Request("raw/back-1", payload, time.Minute)
			return err
		})
	}
	const rounds = 10
	n := max(b.N/rounds, inFlight)
	ours(n)
	raw(n)
	var ratios, speeds, raws []float64
	for range rounds {
		mine, other := timeOf(n, ours), timeOf(n, raw)
		ratios = append(ratios, other.Seconds()/mine.Seconds())
		speeds = append(speeds, float64(n)/mine.Seconds())
		raws = append(raws, float64(n)/other.Seconds())
	}
	for _, s := range [][]float64{ratios, speeds, raws} {
		slices.Sort(s)
	}
	b.ReportMetric(ratios[rounds/2], "of_raw")
	b.ReportMetric(speeds[rounds/2], "calls/s")
	b.ReportMetric(raws[rounds/2], "raw_calls/s")
}

func timeOf(n int, run func(int)) time.Duration {
	start := time.Now()
	run(n)
	return time.Since(start)
}

// inParallel makes n calls from callers goroutines.
func inParallel(callers, n int, call func() error) {
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for j := i; j < n; j += callers {
				if call() != nil {
					return
				}
			}
		})
	}
	all.Wait()
}
