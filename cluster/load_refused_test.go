package cluster

import (
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster/clusterpb"
)

func tellFrom(t testing.TB, transport Transport, data []byte) {
	t.Helper()
	var pool bufferPool
	require.NoError(t, transport.publish(outgoing{subject: "cereus/x/load", body: &buffer{b: data, pool: &pool}}))
}

func reportOf(s *Server) *loadReport {
	return &loadReport{id: s.ID, serverType: s.Type, nonce: s.Nonce, interval: time.Second, load: Load{CPU: 0.5, Sessions: 7}}
}

// TestLoadOfAnotherRun: what an old run told neither counts for, nor takes
// away, what the new one tells.
func TestLoadOfAnotherRun(t *testing.T) {
	t.Parallel()
	loads := newLoads()
	loads.store("a", &heardLoad{nonce: "new", at: time.Now(), interval: time.Hour, load: Load{Sessions: 1}})
	loads.forget("a", "old")
	load, _, ok := loads.Of("a")
	require.True(t, ok)
	require.Equal(t, 1, load.Sessions)
	loads.forget("a", "new")
	_, _, ok = loads.Of("a")
	require.False(t, ok)
}

// TestLoadOfNobody: only a report of a server that discovery knows counts.
func TestLoadOfNobody(t *testing.T) {
	t.Parallel()
	bus, registry := NewMemoryBus(), NewMemoryRegistry()
	here, stranger := bus.Transport("here"), bus.Transport("stranger")
	initModule(t, here)
	initModule(t, stranger)
	n := newLoadNode(t, here, registry, LoadParams{Self: backendServer("here"), Interval: time.Hour})
	register(t, n.discovery)
	known := backendServer("known")
	for _, s := range []*Server{known, {ID: "pitaya", Type: "room", Metadata: map[string]string{}}, backendServer("gone")} {
		require.NoError(t, registry.put(s))
	}
	registry.Crash("room", "gone")
	require.NoError(t, n.discovery.SyncServers(testContext(t)))

	changed := func(change func(r *loadReport)) *loadReport {
		r := reportOf(known)
		change(r)
		return r
	}
	for what, r := range map[string]*loadReport{
		"unknown id":             reportOf(backendServer("nobody")),
		"another run":            changed(func(r *loadReport) { r.nonce = "another" }),
		"no run":                 changed(func(r *loadReport) { r.nonce = "" }),
		"another type":           changed(func(r *loadReport) { r.serverType = "match" }),
		"no id":                  changed(func(r *loadReport) { r.id = "" }),
		"a Pitaya server":        reportOf(&Server{ID: "pitaya", Type: "room"}),
		"one that crashed":       reportOf(backendServer("gone")),
		"our id, another's run":  changed(func(r *loadReport) { r.id, r.nonce = "here", "another" }),
		"our id, no run at all ": changed(func(r *loadReport) { r.id, r.nonce = "here", "" }),
	} {
		before := n.counts.of(LoadUnknown)
		tellFrom(t, stranger, encodedLoad(t, r.message()))
		eventually(t, func() bool { return n.counts.of(LoadUnknown) == before+1 }, what)
	}
	require.Zero(t, n.counts.of(LoadHeard))
	require.Zero(t, n.heard.Load())
	require.False(t, n.knows("known"))

	tellFrom(t, stranger, encodedLoad(t, reportOf(known).message()))
	eventually(t, func() bool { return n.heard.Load() == 1 }, "the right one counts")
	require.True(t, n.knows("known"))
}

// TestLoadMalformed: bytes that are no report are dropped and counted, and
// nothing after them is lost.
func TestLoadMalformed(t *testing.T) {
	t.Parallel()
	bus, registry := NewMemoryBus(), NewMemoryRegistry()
	here, stranger := bus.Transport("here"), bus.Transport("stranger")
	initModule(t, here)
	initModule(t, stranger)
	n := newLoadNode(t, here, registry, LoadParams{Self: backendServer("here"), Interval: time.Hour})
	register(t, n.discovery)
	known := backendServer("known")
	require.NoError(t, registry.put(known))
	require.NoError(t, n.discovery.SyncServers(testContext(t)))

	for what, data := range badLoads(t) {
		before := n.counts.of(LoadMalformed)
		tellFrom(t, stranger, data)
		eventually(t, func() bool { return n.counts.of(LoadMalformed) == before+1 }, what)
	}
	require.False(t, n.knows("known"))
	tellFrom(t, stranger, encodedLoad(t, reportOf(known).message()))
	eventually(t, func() bool { return n.knows("known") }, "the right one counts")
}

// goneAgain is a discovery in which a server goes while its report is taken.
type goneAgain struct {
	*MemoryDiscovery
	asked atomic.Int64
}

func (g *goneAgain) Server(id string) (*Server, bool) {
	if g.asked.Add(1) == 1 {
		return backendServer(id), true
	}
	return nil, false
}

func TestLoadOfAServerThatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	inner, err := NewMemoryDiscovery(NewMemoryRegistry(), nil, nil)
	require.NoError(t, err)
	counts := new(loadCounts)
	r := NewLoadReporter(LoadParams{Self: backendServer("here"), Discovery: &goneAgain{MemoryDiscovery: inner}, Metrics: counts})
	r.hear(message{data: encodedLoad(t, reportOf(backendServer("there")).message())})
	require.Equal(t, 1, counts.of(LoadUnknown))
	_, _, ok := r.Loads().Of("there")
	require.False(t, ok)
	require.Zero(t, r.Loads().heard.Size())
}

func TestLoadReportable(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 64)
	require.Equal(t, map[string]float64{"ok": 1, long: 2, "a.b-c_D9": -3}, reportable(map[string]float64{
		"ok": 1, long: 2, "a.b-c_D9": -3,
		"": 1, "two words": 1, long + "n": 1, "nan": math.NaN(), "inf": math.Inf(-1), "ü": 1,
	}))
	many := make(map[string]float64)
	for i := range 3 * MaxLoadValues {
		many[strings.Repeat("v", 60)+string(rune('a'+i/26))+string(rune('a'+i%26))] = math.MaxFloat64
	}
	kept := reportable(many)
	require.Len(t, kept, MaxLoadValues)
	require.Contains(t, kept, strings.Repeat("v", 60)+"aa")
	require.Empty(t, reportable(nil))

	r := reportOf(backendServer(long))
	r.load = Load{Values: kept, Memory: math.MaxUint64, Goroutines: maxLoadCount, Sessions: maxLoadCount, InFlight: maxLoadCount, CPU: 1}
	data := encodedLoad(t, r.message())
	require.Less(t, len(data), maxLoadReport, "the largest report fits")
	back, err := decodeLoad(data)
	require.NoError(t, err)
	require.Equal(t, r, back)
}

// loadMessage is a report that is right in everything.
func loadMessage() *clusterpb.Load { return reportOf(backendServer("known")).message() }
