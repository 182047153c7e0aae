package router

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
)

func (m *meetings) queued() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queue.Len()
}

func of(session int64, kind Kind) Call {
	return Call{ServerType: "room", Kind: kind, Frontend: "gate-1", SessionID: session}
}

func room(n int) []*cluster.Server {
	list := make([]*cluster.Server, n)
	for i := range list {
		list[i] = &cluster.Server{ID: fmt.Sprint("room-", i), Type: "room"}
	}
	return list
}

// TestStickyForgetsAfterAnHour: who has not been seen for an hour is forgotten as
// others come, but for sessions of this frontend.
func TestStickyForgetsAfterAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, list := New(), room(3)
		r.SetDefault(Sticky(nil, StickyParams{}))
		pick := func(c Call) {
			_, err := r.Pick(t.Context(), c, list)
			require.NoError(t, err)
		}
		for i := range int64(100) {
			pick(of(i+1, ToRemote))
			pick(of(i+1001, ToHandler))
		}
		kept := func(from, to int64) (n int) {
			for i := from; i <= to; i++ {
				if _, ok := r.meetings.bySession.Load(sessionKey{"gate-1", i}); ok {
					n++
				}
			}
			return n
		}
		synctest.Wait()
		<-time.After(50 * time.Minute)
		for i := range int64(50) {
			pick(of(i+1, ToRemote))
		}
		<-time.After(20 * time.Minute)
		for i := range int64(200) {
			pick(of(i+5001, ToRemote))
		}
		require.Equal(t, 50, kept(1, 50), "seen 20 minutes ago")
		require.Zero(t, kept(51, 100), "70 minutes")
		require.Equal(t, 100, kept(1001, 1100), "of this frontend")
		<-time.After(24 * time.Hour)
		for i := range int64(400) {
			pick(of(i+9001, ToRemote))
		}
		require.Zero(t, kept(1, 9000), "nothing is remembered for good")
		require.Equal(t, 400, r.meetings.queued())
	})
}

func TestMeetingsAreBounded(t *testing.T) {
	t.Parallel()
	m := newMeetings(100)
	for i := range int64(5000) {
		c := of(i, ToHandler)
		m.of(&c)
		require.LessOrEqual(t, m.bySession.Size(), 100)
		require.LessOrEqual(t, m.queued(), 100)
	}
}

// Sessions that come and are forgotten leave nothing behind, also where many stay.
func TestForgottenMeetingsLeaveTheQueue(t *testing.T) {
	t.Parallel()
	m := newMeetings(maxMeetings)
	for i := range int64(1000) {
		c := of(i, ToHandler)
		m.of(&c)
	}
	for i := range int64(50_000) {
		c := of(10_000+i%3, ToHandler)
		m.of(&c)
		m.forget(c.Frontend, c.SessionID)
	}
	require.Equal(t, 1000, m.bySession.Size())
	require.LessOrEqual(t, m.queued(), 2100)
}

func TestMeetingsRace(t *testing.T) {
	t.Parallel()
	m := newMeetings(50)
	var wg sync.WaitGroup
	for g := range int64(8) {
		wg.Go(func() {
			for i := range int64(5000) {
				c := of((i*g)%97, ToRemote)
				m.of(&c)
				if i%5 == 0 {
					m.forget(c.Frontend, c.SessionID)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, m.bySession.Size(), 51)
	require.LessOrEqual(t, m.queued(), 50)
}

// TestPerListIsBounded: and what is in use is worked out once.
func TestPerListIsBounded(t *testing.T) {
	t.Parallel()
	worked := 0
	p := newPerList(func(list []*cluster.Server) int { worked++; return len(list) })
	lists := make([][]*cluster.Server, 8)
	for i := range lists {
		lists[i] = room(i + 1)
	}
	for range 100 {
		for i, list := range lists {
			require.Equal(t, i+1, p.of(list))
			require.Equal(t, i+1, p.of(list))
		}
	}
	require.Equal(t, len(lists), worked)
	whole := room(5)
	require.Equal(t, 5, p.of(whole))
	require.Equal(t, 3, p.of(whole[:3]), "in the same place, and another length")
	for range 1000 {
		p.of(room(1))
	}
	kept := 0
	for i := range p.sets {
		for j := range p.sets[i].ways {
			if p.sets[i].ways[j].Load() != nil {
				kept++
			}
		}
	}
	require.LessOrEqual(t, kept, listSets*listWays)
}

// TestWheel: every number belongs to somebody, and to each as many as its share.
func TestWheel(t *testing.T) {
	t.Parallel()
	for _, weights := range [][]int{{0}, {1, 10_000}, {10_000, 1, 1, 1}, {3, 0, 9, 7, 50}, {5, 5, 5}, {10_000, 9_999, 1}} {
		list := room(len(weights))
		total := 0
		for i, s := range list {
			s.Weight = weights[i]
			total += s.Share()
		}
		w, counts := newWheel(list), make([]int, len(list))
		for n := range w.total {
			counts[w.at(n)]++
		}
		for i, s := range list {
			require.Equal(t, s.Share()*int(w.total), counts[i]*total, weights)
		}
	}
}
