package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/constants"
)

// chronicle is a listener that keeps the events of servers.
type chronicle struct {
	mu   sync.Mutex // guards told
	told []Event
}

func (c *chronicle) add(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, e)
}

func (c *chronicle) AddServer(e Event)    { c.add(e) }
func (c *chronicle) RemoveServer(e Event) { c.add(e) }
func (c *chronicle) UpdateServer(e Event) { c.add(e) }

func (c *chronicle) events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.told)
}

func (c *chronicle) tells(want ...string) func() bool {
	return func() bool { return slices.Equal(short(c.events()), want) }
}

// short is events as a story.
func short(events []Event) []string {
	list := []string{}
	for _, e := range events {
		list = append(list, fmt.Sprintf("%s %s %s", e.Server.ID, e.Kind, e.Reason))
	}
	return list
}

// requireOrder checks places and revisions; between the events there may be
// others, of leaders.
func requireOrder(t require.TestingT, events []Event) {
	for n := 1; n < len(events); n++ {
		require.Greater(t, events[n].Seq, events[n-1].Seq)
		require.GreaterOrEqual(t, events[n].Revision, events[n-1].Revision)
	}
}

// fold makes the events to what was there before them.
func fold(present map[string]*Server, events []Event) {
	for _, e := range events {
		switch e.Kind {
		case EventUp, EventUpdate:
			present[e.Server.ID] = e.Server
		case EventDown:
			delete(present, e.Server.ID)
		case EventLeader:
		}
	}
}

func asMap(servers []*Server) map[string]*Server {
	m := map[string]*Server{}
	for _, s := range servers {
		m[s.ID] = s
	}
	return m
}

func contractReasons(t *testing.T, join world) {
	watcher, told := join(t, nil), new(chronicle)
	watcher.AddListener(told)
	a := join(t, backend("a"))
	require.NoError(t, a.register(testContext(t)))
	eventually(t, told.tells("a up joined"), "joined")
	late := new(chronicle)
	watcher.AddListener(late)
	eventually(t, late.tells("a up present"), "present")
	require.LessOrEqual(t, told.events()[0].Seq, late.events()[0].Seq)

	require.NoError(t, a.edit(testContext(t), Edit{Weight: new(5)}))
	eventually(t, told.tells("a up joined", "a update changed"), "changed")
	change := told.events()[1]
	require.Equal(t, 0, change.Before.Weight)
	require.Equal(t, 5, change.Server.Weight)
	require.LessOrEqual(t, change.Server.Revision, change.Revision)
	require.Equal(t, "room", change.Type)

	require.NoError(t, a.deregister(testContext(t)))
	eventually(t, sees(watcher), "left")
	require.NoError(t, a.register(testContext(t)))
	eventually(t, sees(watcher, "a"), "returned")
	a.crash(t)
	eventually(t, sees(watcher), "crashed")
	eventually(t, told.tells("a up joined", "a update changed", "a down left", "a up returned", "a down crashed"), "why")
	eventually(t, late.tells("a up present", "a update changed", "a down left", "a up returned", "a down crashed"), "why")
	requireOrder(t, told.events())
	requireOrder(t, late.events())
	require.LessOrEqual(t, told.events()[4].Seq, watcher.Snapshot().Seq())
	require.Empty(t, watcher.Snapshot().Types())
}

func contractRevisions(t *testing.T, join world) {
	watcher, told := join(t, nil), new(chronicle)
	watcher.AddListener(told)
	a := join(t, backend("a"))
	require.NoError(t, a.register(testContext(t)))
	require.NoError(t, watcher.SyncServers(testContext(t)))
	first := watcher.Snapshot()
	require.Equal(t, []string{"room"}, first.Types())
	was, ok := first.Server("a")
	require.True(t, ok)
	require.LessOrEqual(t, was.Revision, first.Revision())
	require.Equal(t, was.Epoch, was.Revision)

	require.NoError(t, a.edit(testContext(t), Edit{Weight: new(5)}))
	require.NoError(t, watcher.SyncServers(testContext(t)))
	second := watcher.Snapshot()
	is, _ := second.Server("a")
	require.Greater(t, is.Revision, was.Revision, "the value is new")
	require.Same(t, is, second.Servers()[0])
	require.Same(t, is, second.ServersByType("room")[0])
	require.Greater(t, second.Revision(), first.Revision())
	old, _ := first.Server("a")
	require.Same(t, was, old, "a snapshot does not change")
	eventually(t, told.tells("a up joined", "a update changed"), "heard")
	change := told.events()[1]
	require.GreaterOrEqual(t, change.Revision, is.Revision, "a listing may have told it")
	require.LessOrEqual(t, change.Revision, second.Revision())
	require.Greater(t, change.Seq, first.Seq())
	require.LessOrEqual(t, change.Seq, second.Seq())
}

// collect reads an iterator until it has n events of servers.
func collect(t *testing.T, follow func(context.Context) func(func(Event, error) bool), n int) []Event {
	t.Helper()
	var events []Event
	for e, err := range follow(testContext(t)) {
		require.NoError(t, err)
		if e.Kind == EventLeader {
			continue
		}
		if events = append(events, e); len(events) == n {
			break
		}
	}
	require.Len(t, events, n)
	return events
}

func contractHistory(t *testing.T, join world) {
	watcher, told := join(t, nil), new(chronicle)
	watcher.AddListener(told)
	start := watcher.Snapshot()
	a, b := join(t, backend("a")), join(t, backend("b"))
	for range 3 {
		require.NoError(t, a.register(testContext(t)))
		require.NoError(t, b.register(testContext(t)))
		eventually(t, sees(watcher, "a", "b"), "joined")
		require.NoError(t, a.deregister(testContext(t)))
		eventually(t, sees(watcher, "b"), "left")
	}
	eventually(t, told.tells("a up joined", "b up joined", "a down left", "a up returned", "a down left", "a up returned", "a down left"), "heard")
	heard := told.events()
	requireOrder(t, heard)
	changes := func(ctx context.Context) func(func(Event, error) bool) {
		return watcher.Changes(ctx, start.Revision())
	}
	require.Equal(t, heard, collect(t, changes, len(heard)))
	require.Equal(t, heard, collect(t, func(ctx context.Context) func(func(Event, error) bool) {
		return watcher.Follow(ctx, start.Seq())
	}, len(heard)))
	half := slices.IndexFunc(heard, func(e Event) bool { return e.Revision > heard[2].Revision })
	require.Equal(t, heard[half:], collect(t, func(ctx context.Context) func(func(Event, error) bool) {
		return watcher.Changes(ctx, heard[2].Revision)
	}, len(heard)-half))

	for e, err := range join(t, nil).Changes(testContext(t), heard[2].Revision) {
		require.ErrorIs(t, err, ErrHistoryGone, "another process came later")
		require.Zero(t, e)
	}
	for _, err := range watcher.Changes(testContext(t), watcher.Snapshot().Revision()+1000) {
		require.ErrorIs(t, err, ErrHistoryGone, "nobody can know that yet")
	}
	for _, err := range watcher.Follow(testContext(t), watcher.Snapshot().Seq()+1000) {
		require.ErrorIs(t, err, ErrHistoryGone, "that is of another process")
	}
}

func contractFollow(t *testing.T, join world) {
	watcher := join(t, nil)
	const changes = 60
	peers := []peer{join(t, backend("a")), join(t, backend("b")), join(t, backend("c"))}
	done := make(chan error, 1)
	ctx := testContext(t)
	go func() { done <- commotion(ctx, peers, changes) }()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() { followUntilDone(t, watcher) })
	}
	require.NoError(t, <-done)
	readers.Wait()
	require.NoError(t, watcher.SyncServers(ctx))
	require.NoError(t, peers[0].SyncServers(ctx))
	require.Equal(t, ids(peers[0].Servers()), ids(watcher.Servers()))
}

// commotion makes n changes and then has "a" say that it is done.
func commotion(ctx context.Context, peers []peer, n int) error {
	for i := range n {
		p := peers[rand.IntN(len(peers))]
		if err := p.register(ctx); err != nil {
			return err
		}
		if err := p.edit(ctx, Edit{Weight: new(i)}); err != nil {
			return err
		}
		if rand.IntN(3) == 0 {
			if err := p.deregister(ctx); err != nil {
				return err
			}
		}
	}
	if err := peers[0].register(ctx); err != nil {
		return err
	}
	return peers[0].edit(ctx, Edit{Weight: new(n)})
}

// followUntilDone takes snapshots and follows each for a while; what it has then
// must be what a later snapshot of the same place has.
func followUntilDone(t *testing.T, watcher peer) {
	for over := false; !over; {
		start := watcher.Snapshot()
		have, last := asMap(start.Servers()), start.Seq()
		rest := 1 + rand.IntN(20)
		if s := have["a"]; s != nil && s.Weight == 60 {
			return
		}
		for e, err := range watcher.Follow(testContext(t), start.Seq()) {
			if !assertNext(t, e, err, last) {
				return
			}
			last = e.Seq
			fold(have, []Event{e})
			over = over || e.Kind != EventLeader && e.Kind != EventDown && e.Server.ID == "a" && e.Server.Weight == 60
			if now := watcher.Snapshot(); now.Seq() == last && !equalServers(have, asMap(now.Servers())) {
				t.Errorf("at %d the events and the snapshot disagree", last)
			}
			if rest--; over || rest == 0 {
				break
			}
		}
	}
}

func assertNext(t *testing.T, e Event, err error, last uint64) bool {
	if err != nil || e.Seq != last+1 {
		t.Errorf("after %d came %d: %v", last, e.Seq, err)
		return false
	}
	return true
}

func equalServers(a, b map[string]*Server) bool {
	for id := range a {
		if b[id] == nil || !a[id].equal(b[id]) {
			return false
		}
	}
	return len(a) == len(b)
}

func contractIteratorsEnd(t *testing.T, join world) {
	a := join(t, backend("a"))
	start := a.Snapshot()
	require.NoError(t, a.register(testContext(t)))
	eventually(t, sees(a, "a"), "joined")

	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var seen []Event
	for e, err := range a.Follow(ctx, start.Seq()) {
		require.NoError(t, err, "the end of ctx is none")
		seen = append(seen, e)
		cancel()
	}
	require.Equal(t, []string{"a up joined"}, short(seen))
	for range a.Changes(ctx, start.Revision()) {
		t.Error("ctx is over")
	}

	waits := make(chan error, 1)
	follow := a.Follow(testContext(t), a.Snapshot().Seq())
	go func() {
		var last error
		for _, err := range follow {
			last = err
		}
		waits <- last
	}()
	require.NoError(t, a.module.Shutdown(testContext(t)))
	require.ErrorIs(t, <-waits, ErrNotRunning)
	a.Suspect("a")
	a.Trust("a")
}

func contractSuspicion(t *testing.T, join world) {
	watcher, other, told := join(t, nil), join(t, nil), new(chronicle)
	watcher.AddListener(told)
	loud := backend("loud")
	loud.Caps = []string{constants.CapLoad}
	a := join(t, loud)
	require.NoError(t, a.register(testContext(t)))
	eventually(t, sees(watcher, "loud"), "joined")
	eventually(t, sees(other, "loud"), "joined")
	watcher.Suspect("nobody")
	watcher.Trust("nobody")
	watcher.Trust("loud")

	watcher.Suspect("loud")
	eventually(t, told.tells("loud up joined", "loud update unreachable"), "unreachable")
	require.Equal(t, []string{"loud"}, ids(watcher.Servers()), "it is there")
	require.Empty(t, watcher.ServersByType("room"))
	require.Equal(t, []string{"room"}, watcher.Snapshot().Types())
	got, ok := watcher.Server("loud")
	require.True(t, ok)
	require.Equal(t, StateSuspect, got.State)
	require.Len(t, other.ServersByType("room"), 1, "nobody else is told")

	require.NoError(t, a.edit(testContext(t), Edit{Weight: new(7)}))
	eventually(t, told.tells("loud up joined", "loud update unreachable", "loud update changed"), "changed")
	require.NoError(t, watcher.SyncServers(testContext(t)))
	require.Empty(t, watcher.ServersByType("room"), "still suspected")

	watcher.Trust("loud")
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 1 }, "reachable")
	require.Equal(t, 7, watcher.ServersByType("room")[0].Weight)
	eventually(t, told.tells("loud up joined", "loud update unreachable", "loud update changed", "loud update reachable"), "reachable")
	requireOrder(t, told.events())

	watcher.Suspect("loud")
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 0 }, "unreachable")
	require.NoError(t, a.deregister(testContext(t)))
	eventually(t, sees(watcher), "left")
	got, _ = watcher.Server("loud")
	require.Equal(t, StateLeft, got.State)
}

func contractSuspectReturns(t *testing.T, join world) {
	watcher, told := join(t, nil), new(chronicle)
	watcher.AddListener(told)
	a := join(t, backend("a"))
	require.NoError(t, a.register(testContext(t)))
	eventually(t, sees(watcher, "a"), "joined")
	watcher.Suspect("a")
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 0 }, "unreachable")
	require.NoError(t, a.deregister(testContext(t)))
	require.NoError(t, a.register(testContext(t)))
	eventually(t, func() bool { return len(watcher.ServersByType("room")) == 1 }, "a new run is trusted")
	eventually(t, told.tells("a up joined", "a update unreachable", "a down left", "a up returned"), "in order")
	for n, e := range told.events()[1:] {
		require.Equal(t, n == 0, e.Server.State == StateSuspect, "%v", short([]Event{e}))
	}
}
