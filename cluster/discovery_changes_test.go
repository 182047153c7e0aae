package cluster

import (
	"cmp"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/faultproxy"
)

// refuses is which of the revisions the history cannot answer for.
func (s *stage) refuses(from, to int64) []int64 {
	refused := []int64{}
	for since := from; since <= to; since++ {
		if _, err := s.history.since(since); err != nil {
			refused = append(refused, since)
		}
	}
	return refused
}

// lead1 is a key of the leader of type "room", written at a revision; with id ""
// it is gone.
func lead1(id string, revision int64) update {
	l := &leading{}
	if id != "" {
		l = &leading{claim: claim{ID: id, Nonce: "one"}, revision: revision}
	}
	return update{serverType: "room", revision: revision, leading: l}
}

func TestHistory_WithinWhatIsHeardAtOnce(t *testing.T) {
	t.Parallel()
	changed := func(revision int64, weight int) update {
		u := put1("a", "one", 5, revision)
		u.server.Weight = weight
		return u
	}
	for name, c := range map[string]struct {
		updates []update
		refused []int64
	}{
		"one change each":      {[]update{changed(11, 7), put1("b", "one", 12, 12)}, []int64{}},
		"two changes of one":   {[]update{changed(11, 7), put1("b", "one", 12, 12), changed(14, 8)}, []int64{11, 12, 13}},
		"there and back":       {[]update{changed(11, 7), changed(13, 0)}, []int64{11, 12}},
		"came and went":        {[]update{put1("b", "x", 12, 12), del1("b", 14)}, []int64{12, 13}},
		"crashed and returned": {[]update{del1("a", 11), put1("a", "two", 13, 13)}, []int64{11, 12}},
		"a farewell and gone":  {[]update{left(put1("a", "one", 5, 11)), del1("a", 13)}, []int64{}},
		"the same value first": {[]update{changed(11, 0), changed(13, 7)}, []int64{}},
		"the same value later": {[]update{changed(11, 7), changed(13, 7)}, []int64{11, 12}},
		"two pairs, apart":     {[]update{changed(11, 7), changed(12, 8), put1("b", "x", 15, 15), del1("b", 17)}, []int64{11, 15, 16}},
		"one within the other": {[]update{changed(11, 7), put1("b", "x", 12, 12), del1("b", 13), changed(15, 8)}, []int64{11, 12, 13, 14}},
		"a leader":             {[]update{lead1("a", 12)}, []int64{}},
		"a leader and no more": {[]update{lead1("a", 12), lead1("", 14)}, []int64{12, 13}},
		"a leader after another": {
			[]update{lead1("a", 11), lead1("", 13), lead1("b", 14)}, []int64{11, 12, 13},
		},
	} {
		s := newStage(t)
		s.replace([]update{put1("a", "one", 5, 5)}, 10)
		s.apply(c.updates, 20)
		require.Equal(t, c.refused, s.refuses(10, 20), name)
	}
}

func TestHistory_WhatAListingMayHaveLeftOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	listing := []update{put1("a", "one", 5, 5)}
	s.replace(listing, 10)
	s.replace(listing, 10)
	require.Empty(t, s.refuses(10, 20), "nothing can have been between")
	s.replace(listing, 14)
	require.Equal(t, []int64{11, 12, 13}, s.refuses(10, 20), "something may have come and gone")
	s.view.told(12)
	require.Equal(t, []int64{13}, s.refuses(10, 20), "it was not before")
	s.replace(listing, 17)
	require.Equal(t, []int64{13, 14, 15, 16}, s.refuses(10, 20))
	s.view.told(18)
	require.Empty(t, s.refuses(10, 20), "nor at all")
	require.False(t, s.waits())

	s.replace(listing, 20)
	s.untold()
	s.view.told(30)
	require.Equal(t, []int64{18, 19}, s.refuses(10, 30), "the watch has ended that would have told")
}

func TestHistory_LeapsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.replace(nil, 10)
	const n = maxLeaps + 5
	for i := range int64(n) {
		at := 11 + 10*i
		s.apply([]update{put1("a", "x", at, at), del1("a", at+2)}, at+2)
	}
	require.Len(t, s.history.leaps, maxLeaps)
	require.Equal(t, int64(10*(n-maxLeaps)+3), s.history.floor, "what was before the oldest leap is forgotten")
}

// head is the revision of etcd.
func head(t *testing.T, c *clientv3.Client) int64 {
	t.Helper()
	resp, err := c.Get(testContext(t), "none")
	require.NoError(t, err)
	return resp.Header.Revision
}

// answers is what a discovery says that came after a revision, and whether it
// can say it.
func answers(t *testing.T, d *EtcdDiscovery, since int64) ([]Event, bool) {
	t.Helper()
	at, err := d.view.since(testContext(t), since, d.SyncServers)
	if err != nil {
		require.ErrorIs(t, err, ErrHistoryGone)
		return nil, false
	}
	d.view.mu.Lock()
	defer d.view.mu.Unlock()
	events, err := d.view.history.read(at)
	require.NoError(t, err)
	return events, true
}

// requireNoGap has a discovery tell of what came after a snapshot of another one,
// and requires that it leads to the view, or that the discovery says that it
// cannot tell.
func requireNoGap(t *testing.T, d *EtcdDiscovery, seen *Snapshot) (told bool) {
	t.Helper()
	events, told := answers(t, d, seen.Revision())
	if told {
		r := rerun{there: asMap(seen.Servers()), leaders: map[string]Leader{}}
		require.Empty(t, cmp.Or(r.takeIn(events), r.differs(d.Snapshot())), "since %d: %v", seen.Revision(), short(events))
	}
	return told
}

// What one process saw as it happened, another hears of at once.
func TestChanges_OfWhatAnotherSaw(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, p := rawClient(t, endpoint), etcdParams(nil, endpoint).withDefaults()
	near := newEtcd(t, p)
	store, listed, err := boot(testContext(t), p)
	require.NoError(t, err)
	var seen []*Snapshot
	see := func() {
		revision := head(t, operator)
		eventually(t, func() bool { return near.Snapshot().Revision() == revision }, "seen")
		seen = append(seen, near.Snapshot())
	}
	red := backend("a")
	red.Metadata = map[string]string{"stack": "red"}
	for _, s := range []*Server{backend("a"), red, backend("ghost"), backend("a"), backend("b")} {
		put(t, operator, s)
		see()
	}
	remove(t, operator, "t/servers/room/ghost")
	see()
	put(t, operator, backend("c"))
	see()

	far, err := NewEtcdDiscovery(p)
	require.NoError(t, err)
	far.begin(store, listed)
	t.Cleanup(func() { require.NoError(t, far.Shutdown(testContext(t))) })
	eventually(t, sees(far, "a", "b", "c"), "caught up")
	for _, s := range seen {
		requireNoGap(t, far, s)
	}
	require.True(t, requireNoGap(t, far, seen[len(seen)-2]), "nothing was netted since then")
}

// A listing is faster than a watch that stands still.
func TestChanges_AcrossAFreeze(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, proxy := rawClient(t, endpoint), faultproxy.New(t, endpoint)
	put(t, operator, backend("a"))
	near, far := newEtcd(t, etcdParams(nil, endpoint)), newEtcd(t, etcdParams(nil, proxy.Addr()))
	for round := range 6 {
		require.NoError(t, far.SyncServers(testContext(t)))
		if round%2 == 0 {
			proxy.Pause(faultproxy.All)
		} else {
			require.NoError(t, proxy.Refuse())
			proxy.Cut(faultproxy.RST)
		}
		ghost := fmt.Sprintf("ghost%d", round)
		put(t, operator, backend(ghost))
		eventually(t, sees(near, "a", ghost), "it came")
		seen := near.Snapshot()
		remove(t, operator, "t/servers/room/"+ghost)
		eventually(t, sees(near, "a"), "it went")
		proxy.Resume()
		require.NoError(t, proxy.Accept())
		eventually(t, func() bool { return far.SyncServers(testContext(t)) == nil }, "it is back")
		requireNoGap(t, far, seen)
	}
}

// A healthy server compares its view now and then, and knows everything
// in between all the same.
func TestChanges_AfterListingsThatConfirm(t *testing.T) {
	t.Parallel()
	endpoint := startEtcd(t).EtcdEndpoints()[0]
	operator, d := rawClient(t, endpoint), newEtcd(t, etcdParams(nil, endpoint))
	first := d.Snapshot().Revision()
	for round := range 5 {
		id := fmt.Sprintf("room-%d", round)
		put(t, operator, backend(id))
		revision := head(t, operator)
		eventually(t, func() bool { return d.Snapshot().Revision() == revision }, "it came")
		for range 3 { // of something else
			_, err := operator.Put(testContext(t), "other", id)
			require.NoError(t, err)
		}
		eventually(t, func() bool { return d.SyncServers(testContext(t)) == nil && !d.view.waits() }, "it is confirmed")
		require.Equal(t, head(t, operator), d.Snapshot().Revision())
	}
	events, told := answers(t, d, first)
	require.True(t, told)
	require.Len(t, events, 5)
	for since := first; since <= d.Snapshot().Revision(); since++ {
		after, told := answers(t, d, since)
		require.True(t, told, "since %d", since)
		for _, e := range after {
			require.Greater(t, e.Revision, since)
		}
	}
}
