package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// heardTimes are the times at which reports of others arrive on the bus.
type heardTimes struct {
	mu sync.Mutex // guards at
	at []time.Time
}

func (h *heardTimes) note(message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = append(h.at, time.Now())
}

func (h *heardTimes) all() []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]time.Time(nil), h.at...)
}

// spy hears every report on the bus.
func spy(t *testing.T, bus *MemoryBus) *heardTimes {
	t.Helper()
	transport := bus.Transport("spy")
	initModule(t, transport)
	h := new(heardTimes)
	cancel, err := transport.subscribe(subscription{subject: "cereus/x/load", deliver: h.note})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cancel(context.Background())) })
	return h
}

// TestLoadInterval: nothing before registration, then at once, then at a phase
// of its own once per interval, for as long as the server is in the cluster.
func TestLoadInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, registry := NewMemoryBus(), NewMemoryRegistry()
		heard, transport := spy(t, bus), bus.Transport("a")
		initModule(t, transport)
		n := newLoadNode(t, transport, registry, LoadParams{Self: backendServer("a"), Interval: time.Second})
		<-time.After(9500 * time.Millisecond)
		require.Empty(t, heard.all())

		joined := time.Now()
		register(t, n.discovery)
		<-time.After(10*time.Second - time.Nanosecond)
		at := heard.all()
		require.Equal(t, joined, at[0])
		require.Less(t, at[1].Sub(joined), time.Second)
		require.Len(t, at, 11)
		for i := 2; i < len(at); i++ {
			require.Equal(t, time.Second, at[i].Sub(at[i-1]))
		}

		require.NoError(t, n.discovery.Deregister(t.Context()))
		<-time.After(10 * time.Second)
		require.Len(t, heard.all(), 11, "who left tells nothing")
		require.False(t, n.knows("a"))
		register(t, n.discovery)
		synctest.Wait()
		require.Len(t, heard.all(), 12)
	})
}

// Of 1,000 servers each tells its load every 5 s: nobody hears more than 200 a second.
func TestLoadIntervalOfABigCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, registry := NewMemoryBus(), NewMemoryRegistry()
		heard, transport := spy(t, bus), bus.Transport("a")
		initModule(t, transport)
		n := newLoadNode(t, transport, registry, LoadParams{Self: backendServer("a"), Interval: time.Second})
		for i := range 999 {
			require.NoError(t, registry.put(backendServer(fmt.Sprint("other-", i))))
		}
		register(t, n.discovery)
		<-time.After(time.Minute)
		at := heard.all()
		require.Len(t, at, 13)
		for i := 2; i < len(at); i++ {
			require.Equal(t, 5*time.Second, at[i].Sub(at[i-1]))
		}
		own, ok := n.loads.heard.Load("a")
		require.True(t, ok)
		require.Equal(t, 5*time.Second, own.interval, "others count ten of those")
	})
}

// TestLoadWithinTwoIntervals: whoever joins knows all others, and is known,
// after two intervals, however the phases fall.
func TestLoadWithinTwoIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, registry := NewMemoryBus(), NewMemoryRegistry()
		var nodes []*loadNode
		for _, id := range []string{"a", "b", "c", "d"} {
			transport := bus.Transport(id)
			initModule(t, transport)
			n := newLoadNode(t, transport, registry, LoadParams{Self: backendServer(id), Interval: time.Second})
			nodes = append(nodes, n)
			register(t, n.discovery)
			<-time.After(2 * time.Second)
			for _, from := range nodes {
				for _, of := range nodes {
					require.True(t, from.knows(of.self.ID), "%s of %s", from.self.ID, of.self.ID)
				}
			}
		}
	})
}

func TestLoadIntervalZeroTellsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, registry := NewMemoryBus(), NewMemoryRegistry()
		quiet, loud := bus.Transport("quiet"), bus.Transport("loud")
		initModule(t, quiet)
		initModule(t, loud)
		silent := newLoadNode(t, quiet, registry, LoadParams{Self: backendServer("quiet")})
		teller := newLoadNode(t, loud, registry, LoadParams{Self: backendServer("loud"), Interval: time.Second})
		register(t, silent.discovery)
		register(t, teller.discovery)
		<-time.After(time.Minute)
		require.Zero(t, silent.counts.of(LoadSent))
		require.Zero(t, teller.counts.of(LoadHeard))
		require.False(t, teller.knows("quiet"))
		require.True(t, silent.knows("loud"), "it hears all the same")
		require.Positive(t, silent.heard.Load())
	})
}

// TestLoadIsForgotten: when its server is gone, and ten of its own intervals
// after it was heard last.
func TestLoadIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, registry := NewMemoryBus(), NewMemoryRegistry()
		here, there := bus.Transport("here"), bus.Transport("there")
		initModule(t, here)
		initModule(t, there)
		n := newLoadNode(t, here, registry, LoadParams{Self: backendServer("here"), Interval: time.Hour})
		other := newLoadNode(t, there, registry, LoadParams{Self: backendServer("there"), Interval: time.Second})
		register(t, n.discovery)
		register(t, other.discovery)
		<-time.After(2 * time.Second)
		require.True(t, n.knows("there"))

		there.Disconnect() // still in etcd, unheard
		synctest.Wait()
		_, age, _ := n.Loads().Of("there")
		<-time.After(10*time.Second - age)
		require.True(t, n.knows("there"))
		<-time.After(time.Millisecond)
		require.False(t, n.knows("there"))
		require.Positive(t, other.counts.of(LoadUnsent)+other.counts.of(LoadSent))

		there.Reconnect()
		<-time.After(time.Second)
		require.True(t, n.knows("there"))
		registry.Crash("room", "there")
		synctest.Wait()
		require.False(t, n.knows("there"), "gone from discovery")
		require.True(t, n.knows("here"))
	})
}

func TestLoadTellsWhenItComesAgain(t *testing.T) {
	t.Parallel()
	for told, want := range map[time.Duration]time.Duration{
		time.Microsecond: time.Millisecond, time.Second: time.Second, 48 * time.Hour: time.Hour,
	} {
		inner, err := NewMemoryDiscovery(NewMemoryRegistry(), nil, nil)
		require.NoError(t, err)
		r := NewLoadReporter(LoadParams{Self: backendServer("a"), Discovery: inner, Interval: told})
		m := (&loadReport{id: "a", serverType: "room", nonce: "n", interval: r.p.Interval}).message()
		back, err := decodeLoad(encodedLoad(t, m))
		require.NoError(t, err)
		require.Equal(t, want, back.interval)
	}
}
