package cluster

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// loadCounts is a LoadMetrics that remembers.
type loadCounts struct {
	mu   sync.Mutex // guards what follows
	n    map[LoadEvent]int
	last Load
}

func (c *loadCounts) CountLoad(e LoadEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[LoadEvent]int)
	}
	c.n[e]++
}

func (c *loadCounts) SetLoad(l Load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = l
}

func (c *loadCounts) of(e LoadEvent) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[e]
}

// loadNode is a server that tells its load.
type loadNode struct {
	*LoadReporter
	self      *Server
	discovery *MemoryDiscovery
	counts    *loadCounts
	heard     atomic.Int64
}

// newLoadNode starts a server that is not registered yet.
func newLoadNode(t testing.TB, transport Transport, registry *MemoryRegistry, p LoadParams) *loadNode {
	t.Helper()
	n := &loadNode{self: p.Self, counts: new(loadCounts)}
	var err error
	n.discovery, err = NewMemoryDiscovery(registry, n.self, testLog())
	require.NoError(t, err)
	p.Transport, p.Prefix, p.Discovery, p.Metrics = transport, "cereus/", n.discovery, n.counts
	heard := p.Heard
	p.Heard = func(id string) {
		n.heard.Add(1)
		if heard != nil {
			heard(id)
		}
	}
	n.LoadReporter = NewLoadReporter(p)
	initModule(t, n.discovery)
	initModule(t, n.LoadReporter)
	return n
}

// knows reports whether n has heard of a server's load.
func (n *loadNode) knows(id string) bool {
	_, _, ok := n.Loads().Of(id)
	return ok
}

func TestLoadIsHeardByAll(t *testing.T) {
	t.Parallel()
	eachRPCWorld(t, func(t *testing.T, join rpcWorld) {
		registry := NewMemoryRegistry()
		var nodes []*loadNode
		for _, id := range []string{"a", "b", "c"} {
			nodes = append(nodes, newLoadNode(t, join(t, id), registry, LoadParams{
				Self: backendServer(id), Interval: 50 * time.Millisecond,
				Sessions: func() int { return len(id) * 10 }, InFlight: func() int { return 3 },
				Values: func() map[string]float64 { return map[string]float64{"matches." + id: 4.5} },
			}))
			register(t, nodes[len(nodes)-1].discovery)
		}
		for _, n := range nodes {
			for _, of := range nodes {
				eventually(t, func() bool { return n.knows(of.self.ID) }, "the load is known")
				load, age, _ := n.Loads().Of(of.self.ID)
				require.Equal(t, map[string]float64{"matches." + of.self.ID: 4.5}, load.Values)
				require.Equal(t, []int{10, 3}, []int{load.Sessions, load.InFlight})
				require.Positive(t, load.Goroutines)
				require.Greater(t, load.Memory, uint64(1<<20))
				require.True(t, load.CPU >= 0 && load.CPU <= 1, "%v", load.CPU)
				require.Less(t, age, patience)
			}
			eventually(t, func() bool { return n.heard.Load() > 3 }, "reports go on")
			require.Zero(t, n.counts.of(LoadMalformed))
		}
	})
}

// TestLoadSurvivesItsUsers: whatever their functions do, reports go on.
func TestLoadSurvivesItsUsers(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(){
		"panic":  func() { panic("user") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus, registry := NewMemoryBus(), NewMemoryRegistry()
				here, there := bus.Transport("here"), bus.Transport("there")
				initModule(t, here)
				initModule(t, there)
				var asked atomic.Int64
				n := newLoadNode(t, here, registry, LoadParams{
					Self: backendServer("here"), Interval: time.Second,
					Values: func() map[string]float64 {
						if asked.Add(1) <= 5 {
							fail()
						}
						return map[string]float64{"fine": 1}
					},
					Sessions: func() int { panic("user") },
					InFlight: func() int { panic("user") },
					Heard:    func(string) { panic("user") },
				})
				other := newLoadNode(t, there, registry, LoadParams{Self: backendServer("there"), Interval: time.Second})
				register(t, n.discovery)
				register(t, other.discovery)
				<-time.After(20 * time.Second)
				load, _, ok := other.Loads().Of("here")
				require.True(t, ok)
				require.Equal(t, map[string]float64{"fine": 1}, load.Values)
				require.Greater(t, n.heard.Load(), int64(10))
			})
		})
	}
}

// TestLoadResumesAfterNATS: what a NATS server that was away missed is not made
// up for, what comes after is heard.
func TestLoadResumesAfterNATS(t *testing.T) {
	t.Parallel()
	nodes, registry := startNATS(t), NewMemoryRegistry()
	var both []*loadNode
	for _, id := range []string{"a", "b"} {
		n := newLoadNode(t, natsTransport(t, nodes.NATSURL(), id, nil), registry, LoadParams{
			Self: backendServer(id), Interval: 50 * time.Millisecond,
		})
		both = append(both, n)
		register(t, n.discovery)
	}
	eventually(t, func() bool { return both[0].knows("b") && both[1].knows("a") }, "both know each other")
	require.NoError(t, nodes.StopNATS(testContext(t), 0))
	eventually(t, func() bool { return both[0].counts.of(LoadUnsent) > 0 && !both[0].knows("b") }, "silence is noticed")
	eventually(t, func() bool { return both[0].knows("a") }, "its own load needs no NATS")
	require.NoError(t, nodes.RestartNATS(testContext(t), 0))
	eventually(t, func() bool { return both[0].knows("b") && both[1].knows("a") }, "reports resume")
}

func TestLoadOfAllocatesNothing(t *testing.T) {
	loads := newLoads()
	loads.store("a", &heardLoad{nonce: "n", at: time.Now(), interval: time.Hour})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, _, ok := loads.Of("a"); !ok {
			t.Error("forgotten")
		}
	}))
}
