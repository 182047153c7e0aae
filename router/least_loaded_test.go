package router_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

func TestLeastLoadedTakesTheBetterOfTwo(t *testing.T) {
	t.Parallel()
	load := map[string]float64{"room-00": 5, "room-01": 4, "room-02": 0, "room-03": 4}
	f := router.LeastLoaded(func(s *cluster.Server) float64 { return load[s.ID] })
	list, counts := servers(4), map[string]int{}
	for range 12_000 {
		s, err := f(t.Context(), call(), list)
		require.NoError(t, err)
		counts[s.ID]++
	}
	require.Zero(t, counts["room-00"], "any other is better")
	require.InDelta(t, 6000, counts["room-02"], 400, "each pair with it")
	require.InDelta(t, 3000, counts["room-01"], 300)

	load["room-00"] = 7
	list[0].Weight = 200 // 3.5 for the weight of another
	two := []*cluster.Server{list[0], list[1]}
	for range 100 {
		s, err := f(t.Context(), call(), two)
		require.NoError(t, err)
		require.Equal(t, "room-00", s.ID, "load counts by weight")
	}
	list[0].Weight, list[1].Weight = 10_000, 1
	two = slices.Clone(two)
	load["room-01"], load["room-00"] = 0, 1
	for range 100 {
		s, err := f(t.Context(), call(), two)
		require.NoError(t, err)
		require.Equal(t, "room-01", s.ID, "however rarely it is drawn")
	}
}

// The cluster of TestLeastLoadedBeatsRandom, in virtual time: five servers of four
// workers, one of which is ten times slower than the others. Each caller knows its
// own calls at once and what the servers reported every second.
const (
	simServers = 5
	simWorkers = 4
	simWork    = 10 * time.Millisecond // on average, distributed exponentially
	simCalls   = 60_000
	simReport  = time.Second
	simTimeout = 10 * time.Second // nobody waits longer
)

type simServer struct {
	slowness time.Duration
	free     []time.Duration // when each worker is
	inFlight int
	reported int
}

// work is when a call ends that arrives now.
func (s *simServer) work(now time.Duration) time.Duration {
	worker := 0
	for i := range s.free {
		if s.free[i] < s.free[worker] {
			worker = i
		}
	}
	s.free[worker] = max(now, s.free[worker]) + s.slowness*time.Duration(rand.ExpFloat64()*float64(simWork))
	return s.free[worker]
}

type simEnd struct {
	at             time.Duration
	server, caller int
}

type simEnds []simEnd

func (e simEnds) Len() int           { return len(e) }
func (e simEnds) Less(i, j int) bool { return e[i].at < e[j].at }
func (e simEnds) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *simEnds) Push(x any)        { *e = append(*e, x.(simEnd)) }
func (e *simEnds) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// simulate returns how long each call took.
func simulate(t *testing.T, callers int, rate float64, policy func(router.LoadFunc) router.Func) []time.Duration {
	t.Helper()
	list, byID := servers(simServers), map[string]int{}
	all := make([]simServer, simServers)
	for i := range all {
		all[i] = simServer{slowness: 1, free: make([]time.Duration, simWorkers)}
		byID[list[i].ID] = i
	}
	all[2].slowness = 10
	own, funcs := make([][simServers]int, callers), make([]router.Func, callers)
	for c := range funcs {
		funcs[c] = policy(func(s *cluster.Server) float64 {
			i := byID[s.ID]
			return float64(own[c][i]) + float64(all[i].reported)/10 // see LoadFunc
		})
	}
	var now, report time.Duration
	ends, took := &simEnds{}, make([]time.Duration, 0, simCalls)
	for range simCalls {
		now += time.Duration(rand.ExpFloat64() / rate * float64(time.Second))
		for ends.Len() > 0 && (*ends)[0].at <= now {
			end := heap.Pop(ends).(simEnd)
			all[end.server].inFlight--
			own[end.caller][end.server]--
		}
		if now >= report {
			report = now + simReport
			for i := range all {
				all[i].reported = all[i].inFlight
			}
		}
		caller := rand.IntN(callers)
		s, err := funcs[caller](t.Context(), call(), list)
		require.NoError(t, err)
		i := byID[s.ID]
		end := all[i].work(now)
		all[i].inFlight++
		own[caller][i]++
		heap.Push(ends, simEnd{end, i, caller})
		took = append(took, min(end-now, simTimeout))
	}
	slices.Sort(took)
	return took
}

func TestLeastLoadedBeatsRandom(t *testing.T) {
	t.Parallel()
	capacity := simServers * simWorkers / simWork.Seconds() // were none slow
	for _, callers := range []int{1, 3, 20} {
		for _, use := range []float64{0.05, 0.1, 0.2, 0.35, 0.5, 0.65} {
			t.Run(fmt.Sprintf("%d callers, %.0f%%", callers, 100*use), func(t *testing.T) {
				t.Parallel()
				random := simulate(t, callers, use*capacity, func(router.LoadFunc) router.Func { return router.Random() })
				least := simulate(t, callers, use*capacity, router.LeastLoaded)
				p50, p99 := len(random)/2, len(random)*99/100
				gain := float64(random[p99]) / float64(least[p99])
				t.Logf("%2d callers, %2.0f %% of capacity: p50 %4.1f ms at random, %4.1f least loaded; p99 %7.1f ms, %6.1f: better by %.1f",
					callers, 100*use, ms(random[p50]), ms(least[p50]), ms(random[p99]), ms(least[p99]), gain)
				if use >= 0.1 { // below, a server is idle whenever it is asked for, the slow one too
					require.Greater(t, gain, 2.0)
				}
			})
		}
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
