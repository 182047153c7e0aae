package cluster

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
)

// firstError reads an iterator to its end and returns what it had.
func firstError(t *testing.T, events iter.Seq2[Event, error]) (told []Event, err error) {
	t.Helper()
	for e, next := range events {
		require.NoError(t, err, "an error is the last thing")
		if err = next; err == nil {
			told = append(told, e)
		}
	}
	return told, err
}

func noSync(context.Context) error { return nil }

// reweigh has a server change n times, from a revision on.
func reweigh(s *stage, n int, revision int64) {
	for i := range n {
		u := put1("a", "one", 5, revision+int64(i))
		u.server.Weight = int(u.revision)
		s.apply([]update{u}, u.revision)
	}
}

func TestHistory_TooOldSaysSo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.replace([]update{put1("a", "one", 5, 5)}, 5)
	start := s.current.Load()
	reweigh(s, historySize, 6)
	canceled, cancel := context.WithCancel(context.Background())
	defer cancel()
	count := 0
	for e, err := range s.changes(canceled, start.Revision(), noSync) {
		require.NoError(t, err)
		count++
		require.Equal(t, start.Revision()+int64(count), e.Revision)
		require.Equal(t, int(e.Revision), e.Server.Weight)
		if count == historySize {
			cancel()
		}
	}
	require.Equal(t, historySize, count, "just young enough")

	reweigh(s, 1, 6+historySize)
	_, err := firstError(t, s.changes(testContext(t), start.Revision(), noSync))
	require.ErrorIs(t, err, ErrHistoryGone)
	_, err = firstError(t, s.follow(testContext(t), start.Seq()))
	require.ErrorIs(t, err, ErrHistoryGone)
	for e, err := range s.follow(testContext(t), start.Seq()+1) {
		require.NoError(t, err)
		require.Equal(t, start.Seq()+2, e.Seq)
		break
	}
}

func TestHistory_FallingBehindSaysSo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.replace([]update{put1("a", "one", 5, 5)}, 5)
	told, err := []Event(nil), error(nil)
	for e, next := range s.follow(testContext(t), 0) {
		if err = next; err == nil {
			told = append(told, e)
			reweigh(s, historySize+1, 10) // the consumer takes its time
		}
	}
	require.Equal(t, []string{"a up present"}, short(told))
	require.ErrorIs(t, err, ErrHistoryGone)
}

func TestHistory_RevisionGoesBackwards(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.replace([]update{put1("a", "one", 5, 5)}, 100)
	reweigh(s, 1, 101)
	start := s.current.Load()
	changes, follow := s.changes(testContext(t), 100, noSync), s.follow(testContext(t), 1)
	var told []Event
	var err error
	for e, next := range changes {
		if err = next; err == nil {
			told = append(told, e)
			s.replace([]update{put1("b", "one", 6, 6)}, 50) // etcd was put back
		}
	}
	require.Equal(t, []string{"a update changed"}, short(told))
	require.ErrorIs(t, err, ErrHistoryGone)

	told = nil
	for e, err := range follow {
		require.NoError(t, err, "by place it goes on")
		if told = append(told, e); len(told) == 3 {
			break
		}
	}
	require.Equal(t, []string{"a update changed", "a down crashed", "b up joined"}, short(told))
	require.Equal(t, int64(50), told[2].Revision)
	require.Equal(t, int64(50), s.current.Load().Revision())
	_, err = firstError(t, s.changes(testContext(t), start.Revision(), noSync))
	require.ErrorIs(t, err, ErrHistoryGone, "of the history that was lost")
	_, err = firstError(t, s.changes(testContext(t), 49, noSync))
	require.ErrorIs(t, err, ErrHistoryGone)
	_, err = s.history.since(50)
	require.NoError(t, err)
}

func TestHistory_WithinAListing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.replace([]update{put1("a", "one", 5, 5)}, 10)
	s.replace([]update{put1("b", "one", 15, 15)}, 20) // the watch was cut
	for since, gone := range map[int64]bool{9: true, 10: false, 11: true, 15: true, 19: true, 20: false} {
		_, err := s.history.since(since)
		require.Equal(t, gone, errors.Is(err, ErrHistoryGone), "%d", since)
	}
	from, err := s.history.since(10)
	require.NoError(t, err)
	events, err := s.history.read(from)
	require.NoError(t, err)
	require.Equal(t, []string{"a down crashed", "b up joined"}, short(events))
	reweigh(s, historySize+1, 30)
	require.Empty(t, s.history.leaps, "forgotten with the rest")
}

func TestHistory_AheadOfTheView(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.replace([]update{put1("a", "one", 5, 5)}, 10)
	catchUp := func(context.Context) error {
		reweigh(s, 2, 11)
		return nil
	}
	for e, err := range s.changes(testContext(t), 11, catchUp) {
		require.NoError(t, err)
		require.Equal(t, int64(12), e.Revision)
		break
	}
	fails := errors.New("etcd is away")
	_, err := firstError(t, s.changes(testContext(t), 99, func(context.Context) error { return fails }))
	require.ErrorIs(t, err, ErrHistoryGone)
	require.ErrorIs(t, err, fails)
}

func TestHistory_NotRunning(t *testing.T) {
	t.Parallel()
	d, err := NewMemoryDiscovery(NewMemoryRegistry(), nil, nil)
	require.NoError(t, err)
	_, err = firstError(t, d.Follow(testContext(t), 0))
	require.ErrorIs(t, err, ErrNotRunning)
	_, err = firstError(t, d.Changes(testContext(t), 0))
	require.ErrorIs(t, err, ErrNotRunning)
}
