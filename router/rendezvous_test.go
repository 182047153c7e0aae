package router_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/router"
)

func keyed(key string) router.Call {
	c := call()
	c.Key = key
	return c
}

// placed says where keys go.
func placed(t *testing.T, f router.Func, list []*cluster.Server, keys int) []string {
	t.Helper()
	out := make([]string, keys)
	for i := range out {
		s, err := f(t.Context(), keyed("room:"+strconv.Itoa(i)), list)
		require.NoError(t, err)
		out[i] = s.ID
	}
	return out
}

func TestRendezvousMovesFewKeys(t *testing.T) {
	t.Parallel()
	const keys = 100_000
	for _, weight := range []int{0, 200} {
		f, eleven := router.Rendezvous(router.Bound{}), servers(11)
		eleven[10].Weight = weight
		before, after := placed(t, f, eleven[:10], keys), placed(t, f, eleven, keys)
		moved := 0
		for i := range keys {
			if before[i] != after[i] {
				moved++
				require.Equal(t, "room-10", after[i], "keys move to the new server only")
			}
		}
		percent := 100 * float64(moved) / keys
		t.Logf("from 10 to 11 servers, the new one of weight %d: %.2f %% of %d keys moved", eleven[10].Share(), percent, keys)
		if weight == 0 {
			require.InDelta(t, 9, percent, 1)
		} else {
			require.InDelta(t, 100*2.0/12, percent, 1)
		}
	}
}

func TestRendezvousMovesOnlyTheKeysOfWhoGoes(t *testing.T) {
	t.Parallel()
	f, ten := router.Rendezvous(router.Bound{}), servers(10)
	nine := append(append([]*cluster.Server{}, ten[:4]...), ten[5:]...)
	before, after := placed(t, f, ten, 20_000), placed(t, f, nine, 20_000)
	heirs := map[string]int{}
	for i, was := range before {
		if was != "room-04" {
			require.Equal(t, was, after[i])
			continue
		}
		heirs[after[i]]++
	}
	require.Len(t, heirs, 9, "all of the others inherit")
	for id, n := range heirs {
		require.InDelta(t, 20_000.0/10/9, n, 90, id)
	}
}

// TestRendezvousIsTheSameEverywhere: servers of all versions have to agree.
func TestRendezvousIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	f, list := router.Rendezvous(router.Bound{}), servers(100)
	list[3].Weight = 1000
	got := map[string]string{}
	for _, key := range []string{"arena", "ann", "room:1", "room:2", "", "ö"} {
		c := router.Call{Key: key, Frontend: "gate-1", SessionID: 7}
		s, err := f(t.Context(), c, list)
		require.NoError(t, err)
		got[key] = s.ID
	}
	require.Equal(t, map[string]string{
		"arena": "room-64", "ann": "room-86", "room:1": "room-44", "room:2": "room-01", "ö": "room-11", "": "room-93",
	}, got)
}

func TestRendezvousKeys(t *testing.T) {
	t.Parallel()
	f, list := router.Rendezvous(router.Bound{}), servers(1000)
	pick := func(c router.Call) string {
		s, err := f(t.Context(), c, list)
		require.NoError(t, err)
		return s.ID
	}
	ann := pick(router.Call{UID: "ann"})
	require.Equal(t, ann, pick(router.Call{UID: "ann", Frontend: "gate-1", SessionID: 1}), "the uid before the session")
	require.Equal(t, ann, pick(router.Call{Key: "ann", UID: "bob"}), "the key before the uid")
	one := pick(router.Call{Frontend: "gate-1", SessionID: 1})
	require.Equal(t, one, pick(router.Call{Frontend: "gate-1", SessionID: 1}))
	require.NotEqual(t, one, pick(router.Call{Frontend: "gate-1", SessionID: 2}))
	require.NotEqual(t, one, pick(router.Call{Frontend: "gate-2", SessionID: 1}))
	seen := map[string]bool{}
	for range 100 {
		seen[pick(router.Call{})] = true
	}
	require.Greater(t, len(seen), 50, "without any it is random")
}

func TestPickByKey(t *testing.T) {
	t.Parallel()
	r, list := router.New(), servers(10)
	r.Set("room", 0, pickFirst)
	f := router.Rendezvous(router.Bound{})
	for i := range 100 {
		c := keyed(strconv.Itoa(i))
		want, err := f(t.Context(), c, list)
		require.NoError(t, err)
		got, err := r.PickByKey(t.Context(), c, list)
		require.NoError(t, err)
		require.Same(t, want, got)
	}
	r.BoundKeys(router.Bound{Factor: 1, Load: func(s *cluster.Server) float64 {
		if s.ID == "room-07" {
			return 0
		}
		return 100
	}})
	for i := range 100 {
		s, err := r.PickByKey(t.Context(), keyed(strconv.Itoa(i)), list[6:8])
		require.NoError(t, err)
		require.Equal(t, "room-07", s.ID)
	}
}

// TestRendezvousIsBounded: half of all work has the same key.
func TestRendezvousIsBounded(t *testing.T) {
	t.Parallel()
	for _, weights := range [][]int{make([]int, 10), {50, 100, 200, 0}} {
		list, load, total := weighing(weights...), map[string]float64{}, 0.0
		shares := 0.0
		for _, s := range list {
			shares += float64(s.Share())
		}
		f := router.Rendezvous(router.Bound{Factor: 1.25, Load: func(s *cluster.Server) float64 { return load[s.ID] }})
		stayed := 0
		for i := range 10_000 {
			key := "hot"
			if i%2 == 0 {
				key = strconv.Itoa(i)
			}
			s, err := f(t.Context(), keyed(key), list)
			require.NoError(t, err)
			load[s.ID]++
			total++
			limit := 1.25*total*float64(s.Share())/shares + 2 // rounded up, and the one that came
			require.LessOrEqual(t, load[s.ID], limit, s.ID)
			if first, _ := router.Rendezvous(router.Bound{})(t.Context(), keyed(key), list); first.ID == s.ID {
				stayed++
			}
		}
		t.Logf("weights %v: %v; %.0f %% of all where they belong", weights, load, float64(stayed)/100)
	}
}

// A server of average load is not skipped, whatever its unit.
func TestBoundLeavesTheAverage(t *testing.T) {
	t.Parallel()
	plain := router.Rendezvous(router.Bound{})
	for _, level := range []float64{0, 0.3, 1, 7, 1e6} {
		f, list := router.Rendezvous(router.Bound{Factor: 1, Load: func(*cluster.Server) float64 { return level }}), servers(7)
		require.Equal(t, placed(t, plain, list, 1000), placed(t, f, list, 1000), level)
	}
}

// Who comes while the first one of all is still asking for the loads of a new
// list does not take them for none.
func TestBoundOfAListWhoseLoadsAreBeingAsked(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	asks, done := make(chan struct{}), make(chan struct{})
	list := servers(5)
	f := router.Rendezvous(router.Bound{Factor: 2, Load: func(s *cluster.Server) float64 {
		if asked.CompareAndSwap(false, true) {
			close(asks)
			<-done
		}
		if s.ID == "room-03" {
			return 0
		}
		return 7
	}})
	first := make(chan error, 1)
	go func() {
		_, err := f(t.Context(), keyed("room:0"), list)
		first <- err
	}()
	<-asks
	got := placed(t, f, list, 100)
	close(done)
	require.NoError(t, <-first)
	require.Equal(t, placed(t, router.Rendezvous(router.Bound{}), list, 100), got)
}

func BenchmarkRendezvous(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 5000} {
		list := servers(n)
		for _, s := range list {
			s.Weight = 1 + rand.IntN(500)
		}
		keys := make([]router.Call, 1024)
		for i := range keys {
			keys[i] = keyed("room:" + strconv.Itoa(i))
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f, ctx, i := router.Rendezvous(router.Bound{}), b.Context(), 0
			b.ReportAllocs()
			for b.Loop() {
				i++
				_, _ = f(ctx, keys[i%len(keys)], list)
			}
		})
	}
}
