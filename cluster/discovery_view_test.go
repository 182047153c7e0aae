package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/internal/lifecycle"
)

// stage is a view whose clock stands still, and somebody who hears it all.
type stage struct {
	*view
	told  *chronicle
	clock time.Time
	sub   *subscriber
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		view:  newView(viewParams{suspectFor: DefaultSuspectFor, log: orDiscard(nil), metrics: noDiscoveryMetrics{}}),
		told:  new(chronicle),
		clock: time.Unix(1e9, 0),
	}
	s.now = func() time.Time { return s.clock }
	s.sub = &subscriber{listener: s.told, wake: make(chan struct{}, 1), log: s.log, metrics: noDiscoveryMetrics{}}
	s.listeners = append(s.listeners, s.sub)
	group := lifecycle.NewGroup(context.Background())
	t.Cleanup(func() { require.NoError(t, group.Stop(context.Background())) })
	s.group = group
	return s
}

// news is what is new since the last time.
func (s *stage) news() []string {
	before := len(s.told.events())
	for _, e := range s.sub.take() {
		s.sub.tell(e)
	}
	return short(s.told.events()[before:])
}

// put1 is a key of a run, written at a revision; del1 is one that is gone.
func put1(id, nonce string, epoch, revision int64) update {
	s := backend(id)
	s.Nonce, s.Epoch, s.Revision = nonce, epoch, revision
	return update{serverType: s.Type, id: id, server: s, revision: revision}
}

func del1(id string, revision int64) update {
	return update{serverType: "room", id: id, revision: revision}
}

func left(u update) update {
	u.server = u.server.withState(StateLeft)
	return u
}

func TestView_Reasons(t *testing.T) {
	t.Parallel()
	run1, run2 := put1("a", "one", 5, 5), put1("a", "two", 9, 9)
	again := put1("a", "two", 5, 9) // a program that writes over another's key
	for name, c := range map[string]struct {
		updates []update
		want    []string
		last    Reason
	}{
		"a crash":              {[]update{del1("a", 8)}, []string{"a down crashed"}, ReasonCrashed},
		"a farewell":           {[]update{left(run1)}, []string{"a down left"}, ReasonLeft},
		"a farewell and gone":  {[]update{left(run1), del1("a", 8)}, []string{"a down left"}, ReasonLeft},
		"a fast restart":       {[]update{left(run1), del1("a", 8), run2}, []string{"a down left", "a up returned"}, ""},
		"a crash and a return": {[]update{del1("a", 8), run2}, []string{"a down crashed", "a up returned"}, ""},
		"a new run":            {[]update{run2}, []string{"a down replaced", "a up returned"}, ""},
		"a key written over":   {[]update{again}, []string{"a down replaced", "a up returned"}, ""},
		"a run replaced, gone": {[]update{run2, del1("a", 10)}, []string{"a down replaced"}, ""},
		"a farewell withdrawn": {[]update{left(run1), put1("a", "one", 5, 8)}, []string{}, ""},
		"withdrawn and a crash": {
			[]update{left(run1), put1("a", "one", 5, 8), del1("a", 9)}, []string{"a down crashed"}, ReasonCrashed,
		},
		"came and went": {[]update{put1("b", "x", 6, 6), del1("b", 7)}, []string{}, ""},
	} {
		s := newStage(t)
		s.replace([]update{put1("a", "one", 5, 5)}, 7)
		require.Equal(t, []string{"a up present"}, s.news(), name)
		s.apply(c.updates, 10)
		require.Equal(t, c.want, s.news(), name)
		require.Equal(t, int64(10), s.current.Load().Revision(), name)
		for _, e := range s.told.events() {
			require.Equal(t, "one", s.told.events()[0].Server.Nonce, name)
			if e.Kind == EventDown {
				require.Equal(t, "one", e.Server.Nonce, name)
				require.False(t, present(e.Server), name)
				require.Equal(t, e.Reason == ReasonLeft, e.Server.State == StateLeft, name)
			}
		}
	}
}

func TestView_TheSameValueAgainIsSilent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.replace([]update{put1("a", "one", 5, 5)}, 5)
	s.news()
	before := s.current.Load()
	s.apply([]update{put1("a", "one", 5, 8)}, 8)
	after := s.current.Load()
	require.Empty(t, s.news())
	require.Equal(t, before.Seq(), after.Seq())
	got, _ := after.Server("a")
	require.Equal(t, int64(8), got.Revision)
	require.Same(t, got, after.Servers()[0])
	require.Same(t, got, after.ServersByType("room")[0])

	s.replace([]update{put1("a", "one", 5, 8)}, 8)
	require.Same(t, after, s.current.Load(), "nothing at all is new")
	s.apply(nil, 9)
	require.Equal(t, int64(9), s.current.Load().Revision(), "also when nothing visible changed")
}

func TestView_SuspicionExpires(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	loud := put1("loud", "x", 3, 3)
	loud.server.Caps = []string{constants.CapLoad}
	s.replace([]update{put1("quiet", "x", 2, 2), loud}, 3)
	s.news()
	s.suspect("quiet")
	s.suspect("loud")
	s.heed()
	require.Equal(t, []string{"loud update unreachable", "quiet update unreachable"}, s.news())
	require.Equal(t, s.clock.Add(unconfirmedFor), s.expire())

	s.clock = s.clock.Add(unconfirmedFor - time.Second)
	s.suspect("quiet")
	s.heed()
	require.Empty(t, s.news(), "it was known")
	s.clock = s.clock.Add(2 * time.Second)
	require.Equal(t, s.clock.Add(unconfirmedFor-2*time.Second), s.expire(), "it was confirmed")
	require.Empty(t, s.news())
	s.clock = s.clock.Add(unconfirmedFor)
	require.Zero(t, s.expire())
	require.Equal(t, []string{"quiet update reachable"}, s.news())
	require.Equal(t, []string{"quiet"}, ids(s.current.Load().ServersByType("room")))

	s.trust("loud")
	s.heed()
	require.Equal(t, []string{"loud update reachable"}, s.news(), "it had to be heard of")
}

func TestView_HintsOfAFormerRunSayNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.replace([]update{put1("a", "one", 5, 5), put1("b", "one", 5, 5)}, 5)
	s.suspect("a") // not heeded yet
	s.suspect("b")
	s.trust("b") // the last word counts, also before the first is in the view
	s.apply([]update{put1("a", "two", 9, 9)}, 9)
	s.news()
	s.heed()
	require.Empty(t, s.news())
	require.Empty(t, s.suspects)
	require.Zero(t, s.hints.waiting.Load())
	s.trust("a")
	s.trust("b")
	require.Empty(t, s.hints.take(), "there is nothing to say")

	s.suspect("a")
	s.heed()
	s.apply([]update{del1("a", 10)}, 10)
	require.Equal(t, []string{"a update unreachable", "a down crashed"}, s.news())
	require.Empty(t, s.suspects)
	s.suspect("a")
	s.heed()
	require.Empty(t, s.news(), "gone is gone")
}

func TestSnapshot_ZeroIsEmpty(t *testing.T) {
	t.Parallel()
	var s Snapshot
	_, ok := s.Server("a")
	require.False(t, ok)
	_, ok = s.Leader("room")
	require.False(t, ok)
	require.Empty(t, s.Servers())
	require.Empty(t, s.ServersByType("room"))
	require.Empty(t, s.Types())
	require.Zero(t, s.Revision())
	require.Zero(t, s.Seq())
}
