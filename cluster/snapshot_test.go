package cluster

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fullView has n servers of two types.
func fullView(n int) *view {
	v := newView(viewParams{suspectFor: DefaultSuspectFor, log: orDiscard(nil), metrics: noDiscoveryMetrics{}})
	var listed []update
	for i := range n {
		s := backend(fmt.Sprintf("server-%05d", i))
		s.Type = []string{"room", "lobby"}[i%2]
		s.Epoch = int64(i + 1)
		listed = append(listed, update{serverType: s.Type, id: s.ID, server: s, revision: s.Epoch})
	}
	v.replace(listed, int64(n))
	return v
}

func TestSnapshot_ReadsDoNotAllocate(t *testing.T) { //nolint:paralleltest // counts allocations
	d := &EtcdDiscovery{view: fullView(5000)}
	var found int
	allocs := testing.AllocsPerRun(100, func() {
		s, _ := d.Server("server-04321")
		found = len(d.Servers()) + len(d.ServersByType("room")) + len(s.ID)
		now := d.Snapshot()
		s, _ = now.Server("server-00001")
		found += len(now.Servers()) + len(now.ServersByType("lobby")) + len(now.Types()) + int(now.Seq())
		d.Trust(s.ID)
	})
	require.Zero(t, allocs)
	require.Equal(t, 5000+2500+len("server-04321")+5000+2500+2+5000, found)
}

func TestSnapshot_OneChangeAmongManyIsCheap(t *testing.T) { //nolint:paralleltest // measures
	const limitBytes = 300 << 10
	v := fullView(5000)
	result := testing.Benchmark(func(b *testing.B) { flipOne(b, v) })
	require.Less(t, result.AllocedBytesPerOp(), int64(limitBytes))
	t.Logf("one change among 5,000: %v, %d bytes", result.NsPerOp(), result.AllocedBytesPerOp())
}

// flipOne changes one of the servers over and over.
func flipOne(b *testing.B, v *view) {
	b.ReportAllocs()
	epoch := int64(10_000)
	for n := 0; b.Loop(); n++ {
		s := backend("server-04321")
		s.Type, s.Weight, s.Epoch = "lobby", n+1, epoch
		v.apply([]update{{serverType: s.Type, id: s.ID, server: s, revision: epoch + int64(n)}}, epoch+int64(n))
	}
}

// BenchmarkSnapshot_Change: at most 300 us and 300 KB for 5,000 servers.
func BenchmarkSnapshot_Change(b *testing.B) {
	for _, n := range []int{50, 500, 5000} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			v := fullView(n)
			flipOne(b, v)
		})
	}
}

func BenchmarkSnapshot_LeaveAndJoin(b *testing.B) {
	v := fullView(5000)
	v.suspectFor = 0
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		s := backend("server-01234")
		s.Epoch = int64(10_000 + n)
		v.apply([]update{{serverType: "room", id: s.ID}}, s.Epoch)
		v.apply([]update{{serverType: "room", id: s.ID, server: s, revision: s.Epoch}}, s.Epoch)
		v.expire()
	}
}

func BenchmarkSnapshot_Read(b *testing.B) {
	d := &EtcdDiscovery{view: fullView(5000)}
	ids := ids(d.Servers())
	b.Run("Server", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if _, ok := d.Server(ids[n%len(ids)]); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("ServersByType", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(d.ServersByType("room")) != 2500 {
				b.Fatal("not found")
			}
		}
	})
	b.Run("Server parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				d.Server(ids[n%len(ids)])
			}
		})
	})
}

// TestSnapshot_Model makes random changes to a view and to a plain map, and
// replays what a listener heard onto a third.
func TestSnapshot_Model(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := newView(viewParams{suspectFor: DefaultSuspectFor, log: orDiscard(nil), metrics: noDiscoveryMetrics{}})
		heard := &replay{servers: map[string]*Server{}}
		sub := &subscriber{listener: heard, wake: make(chan struct{}, 1), log: v.log, metrics: noDiscoveryMetrics{}}
		v.listeners = append(v.listeners, sub)
		model := map[string]*Server{} // by key
		var revision int64
		v.replace(nil, 0)
		told := &teller{servers: map[string]*Server{}, at: map[int64]map[string]*Server{}}
		id := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		t.Repeat(map[string]func(*rapid.T){
			"apply":   func(t *rapid.T) { v.apply(randomUpdates(t, model, &revision), revision) },
			"replace": func(t *rapid.T) { randomUpdates(t, model, &revision); v.replace(listModel(model), revision) },
			"told":    func(*rapid.T) { v.told(revision) },
			"suspect": func(t *rapid.T) { v.suspect(id.Draw(t, "id")); v.heed() },
			"trust":   func(t *rapid.T) { v.trust(id.Draw(t, "id")); v.heed() },
			"": func(t *rapid.T) {
				for _, e := range sub.take() {
					sub.tell(e)
				}
				require.Empty(t, heard.faults)
				checkSnapshot(t, v.current.Load(), suspected(v, winners(model)))
				checkSnapshot(t, v.current.Load(), heard.servers)
				require.Equal(t, revision, v.current.Load().Revision())
				told.check(t, v)
			},
		})
	})
}

// suspected is the servers as a view that suspects some has them.
func suspected(v *view, servers map[string]*Server) map[string]*Server {
	for id, s := range servers {
		if doubt, ok := v.suspects[id]; ok && sameRun(doubt.run, s) {
			servers[id] = s.withState(StateSuspect)
		}
	}
	return servers
}

// teller replays the history, from its last place and from former revisions.
type teller struct {
	cursor  cursor
	servers map[string]*Server
	at      map[int64]map[string]*Server // what was known at the last revisions
}

func (r *teller) check(t *rapid.T, v *view) {
	fold(r.servers, r.read(t, v, &r.cursor))
	require.True(t, equalServers(r.servers, asMap(v.current.Load().all)))
	for revision, then := range r.at {
		from, err := v.history.since(revision)
		if v.history.pending.has(revision) { // the watch may have to tell of something
			require.ErrorIs(t, err, ErrHistoryGone)
			continue
		}
		require.NoError(t, err)
		replayed := maps.Clone(then)
		fold(replayed, r.read(t, v, &from))
		require.Len(t, replayed, len(r.servers))
		for id, s := range replayed { // suspicion has no revision
			require.True(t, r.servers[id] != nil && sameRun(s, r.servers[id]), id)
		}
	}
	revision := v.current.Load().revision
	r.at[revision] = maps.Clone(r.servers)
	maps.DeleteFunc(r.at, func(known int64, _ map[string]*Server) bool { return known < revision-20 })
}

func (r *teller) read(t *rapid.T, v *view, c *cursor) []Event {
	var all []Event
	for {
		batch, err := v.history.read(*c)
		require.NoError(t, err)
		if len(batch) == 0 {
			requireOrder(t, all)
			return all
		}
		all = append(all, batch...)
		require.Equal(t, c.seq+uint64(len(batch)), batch[len(batch)-1].Seq)
		c.seq += uint64(len(batch))
	}
}

func randomUpdates(t *rapid.T, model map[string]*Server, revision *int64) []update {
	var updates []update
	for range rapid.IntRange(1, 6).Draw(t, "n") {
		*revision++
		s := &Server{
			ID: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id"), Type: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "type"),
			State: rapid.SampledFrom([]State{StateUp, StatePaused, StateLeft}).Draw(t, "state"), Epoch: *revision,
		}
		key := serverKey(s.Type, s.ID)
		u := update{serverType: s.Type, id: s.ID, revision: *revision}
		if rapid.Bool().Draw(t, "delete") {
			delete(model, key)
		} else {
			if known := model[key]; known != nil {
				s.Epoch = known.Epoch
			}
			model[key], u.server = s, s
		}
		updates = append(updates, u)
	}
	return updates
}

func listModel(model map[string]*Server) []update {
	var listed []update
	for _, s := range model {
		listed = append(listed, update{serverType: s.Type, id: s.ID, server: s, revision: s.Epoch})
	}
	return listed
}

// winners is who each id is, of those present.
func winners(model map[string]*Server) map[string]*Server {
	best := map[string]*Server{}
	for _, s := range model {
		if b := best[s.ID]; b == nil || b.Epoch < s.Epoch {
			best[s.ID] = s
		}
	}
	for id, s := range best {
		if s.State == StateLeft {
			delete(best, id)
		}
	}
	return best
}

func checkSnapshot(t *rapid.T, s *Snapshot, want map[string]*Server) {
	require.Len(t, s.all, len(want))
	require.True(t, slices.IsSortedFunc(s.all, func(a, b *Server) int { return compareIDs(a.ID, b.ID) }))
	byType, types := map[string][]string{}, map[string]int{}
	for _, got := range s.all {
		types[got.Type]++
		require.True(t, got.equal(want[got.ID]), got.ID)
		found, ok := s.Server(got.ID)
		require.True(t, ok)
		require.Same(t, got, found)
		if got.routable() {
			byType[got.Type] = append(byType[got.Type], got.ID)
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(types)), s.Types())
	require.Equal(t, types, maps.Collect(maps.All(s.members)))
	require.Len(t, s.byType, len(byType))
	for serverType, list := range byType {
		require.Equal(t, list, ids(s.byType[serverType]))
	}
}

func compareIDs(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// replay is a Listener that keeps what it hears of.
type replay struct {
	servers map[string]*Server
	faults  []string
}

func (r *replay) AddServer(e Event) {
	s := e.Server
	if r.servers[s.ID] != nil {
		r.faults = append(r.faults, "added twice: "+s.ID)
	}
	r.servers[s.ID] = s
}

func (r *replay) RemoveServer(e Event) {
	s := e.Server
	if r.servers[s.ID] == nil {
		r.faults = append(r.faults, "removed without being there: "+s.ID)
	}
	delete(r.servers, s.ID)
}

func (r *replay) UpdateServer(e Event) {
	before, after := e.Before, e.Server
	if known := r.servers[after.ID]; known == nil || !known.equal(before) || before.equal(after) {
		r.faults = append(r.faults, "updated what it was not: "+after.ID)
	}
	r.servers[after.ID] = after
}
