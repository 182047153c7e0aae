package router_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/router"
)

// stuck is a Router with a sticky policy for all, and the moves that it told.
type stuck struct {
	*router.Router
	mu    sync.Mutex // guards moves
	moves []router.Move
}

func newStuck(next router.Func) *stuck {
	s := &stuck{Router: router.New()}
	s.SetDefault(router.Sticky(next, router.StickyParams{Moved: func(m router.Move) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.moves = append(s.moves, m)
	}}))
	return s
}

func (s *stuck) id(t *testing.T, c router.Call, list []*cluster.Server) string {
	t.Helper()
	chosen, err := s.Pick(t.Context(), c, list)
	require.NoError(t, err)
	return chosen.ID
}

func TestStickyStays(t *testing.T) {
	t.Parallel()
	r, list := newStuck(pickLast), servers(3)
	require.Equal(t, "room-02", r.id(t, player(1), list))
	more := servers(5)
	require.Equal(t, "room-02", r.id(t, player(1), more), "joins change nothing")
	require.Equal(t, "room-04", r.id(t, player(2), more), "for others they do")
	edited := servers(5)
	edited[2].State, edited[2].Weight = cluster.StateBusy, 1
	s, err := r.Pick(t.Context(), player(1), edited)
	require.NoError(t, err)
	require.Same(t, edited[2], s, "the value of now")
	remote := player(1)
	remote.Kind, remote.UID = router.ToRemote, ""
	require.Equal(t, "room-02", r.id(t, remote, more), "the session counts, whatever it calls")
	other := player(1)
	other.ServerType = "match"
	require.Equal(t, "room-04", r.id(t, other, more), "each type for itself")
	elsewhere := player(1)
	elsewhere.Frontend = "gate-2"
	require.Equal(t, "room-04", r.id(t, elsewhere, more), "ids of sessions are those of a frontend")
	nobody := player(1)
	nobody.Frontend, nobody.SessionID = "", 0
	require.Equal(t, "room-01", r.id(t, nobody, servers(2)))
	require.Equal(t, "room-04", r.id(t, nobody, more), "a call of no session goes to next")
	require.Empty(t, r.moves)
}

func TestStickyMoves(t *testing.T) {
	t.Parallel()
	r, list := newStuck(pickLast), servers(4)
	require.Equal(t, "room-03", r.id(t, player(1), list))
	require.Equal(t, "room-02", r.id(t, player(1), list[:3]), "it left")
	require.Equal(t, "room-02", r.id(t, player(1), list), "it came back, and is not needed")
	first := router.Move{Frontend: "gate-1", SessionID: 2, UID: "player-1", ServerType: "room", From: "room-03", To: "room-02"}
	require.Equal(t, []router.Move{first}, r.moves)

	again := servers(4)
	again[2].Nonce = "another run"
	require.Equal(t, "room-03", r.id(t, player(1), again), "a restart is a move as well")
	require.Len(t, r.moves, 2)
	require.Equal(t, "room-03", r.moves[1].To)

	require.Equal(t, "room-02", r.id(t, player(1), without(again, "room-03")), "a call failed there")
	require.Equal(t, "room-02", r.id(t, player(1), again), "and the next go where it went")
	require.Len(t, r.moves, 3)

	restarted := servers(3)
	restarted[2].Nonce = "the third run"
	require.Equal(t, "room-02", r.id(t, player(1), restarted))
	require.Len(t, r.moves, 4)
	require.Equal(t, r.moves[3].From, r.moves[3].To)
}

func TestStickyForgets(t *testing.T) {
	t.Parallel()
	r, list := newStuck(pickLast), servers(3)
	match := player(1)
	match.ServerType = "match"
	for _, c := range []router.Call{player(1), match, player(2)} {
		require.Equal(t, "room-01", r.id(t, c, list[:2]))
	}
	r.Forget("gate-1", 2)
	r.Forget("gate-1", 99)
	require.Equal(t, "room-02", r.id(t, player(1), list))
	require.Equal(t, "room-02", r.id(t, match, list), "for every type")
	require.Equal(t, "room-01", r.id(t, player(2), list))
	require.Empty(t, r.moves, "to be forgotten is no move")
}

// TestStickyWithin: what an application's own Func makes of it.
func TestStickyWithin(t *testing.T) {
	t.Parallel()
	r, list := router.New(), servers(4)
	sticky := router.Sticky(pickLast, router.StickyParams{})
	r.SetDefault(func(ctx context.Context, c router.Call, from []*cluster.Server) (*cluster.Server, error) {
		return sticky(ctx, c, from[1:])
	})
	pick := func(list []*cluster.Server) string {
		s, err := r.Pick(t.Context(), player(1), list)
		require.NoError(t, err)
		return s.ID
	}
	require.Equal(t, "room-02", pick(list[:3]))
	require.Equal(t, "room-02", pick(list))
	r.Forget("gate-1", 2)
	require.Equal(t, "room-03", pick(list))
}

func TestStickyNextFails(t *testing.T) {
	t.Parallel()
	refusal, list := errors.New("full"), servers(2)
	answers := map[string]router.Func{
		"error": func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) { return nil, refusal },
		"nil":   func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) { return nil, nil },
		"stranger": func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) {
			return &cluster.Server{ID: "gone"}, nil
		},
		"panic": func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) { panic("boom") },
	}
	for name, f := range answers {
		var works atomic.Bool
		r := newStuck(func(ctx context.Context, c router.Call, from []*cluster.Server) (*cluster.Server, error) {
			if works.Load() {
				return &cluster.Server{ID: "room-01"}, nil // an older value
			}
			return f(ctx, c, from)
		})
		s, err := r.Pick(t.Context(), player(1), list)
		require.Error(t, err, name)
		require.Nil(t, s, name)
		works.Store(true)
		require.Equal(t, "room-01", r.id(t, player(1), list), name)
		works.Store(false)
		require.Equal(t, "room-01", r.id(t, player(1), list), "%s: it met that one", name)
		require.Empty(t, r.moves, name)
	}
}

func TestN19_MovedPanics(t *testing.T) {
	t.Parallel()
	r, list := router.New(), servers(2)
	r.SetDefault(router.Sticky(pickLast, router.StickyParams{Moved: func(router.Move) { panic("boom") }}))
	_, err := r.Pick(t.Context(), player(1), list)
	require.NoError(t, err)
	_, err = r.Pick(t.Context(), player(1), list[:1])
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
	s, err := r.Pick(t.Context(), player(1), list[:1])
	require.NoError(t, err)
	require.Equal(t, "room-00", s.ID)
}

// TestStickyRace: many calls of the same sessions meet one server each, and a
// move is told once.
func TestStickyRace(t *testing.T) {
	t.Parallel()
	r, list := newStuck(nil), servers(10)
	const sessions, callers = 200, 8
	round := func(list []*cluster.Server) [callers][sessions]string {
		var met [callers][sessions]string
		var wg sync.WaitGroup
		for g := range callers {
			wg.Go(func() {
				for i := range sessions {
					c := player(i)
					if g%2 == 1 {
						c.Kind = router.ToRemote
					}
					s, err := r.Pick(t.Context(), c, list)
					if err != nil {
						t.Error(err)
						return
					}
					met[g][i] = s.ID
				}
			})
		}
		wg.Wait()
		for g := range callers {
			require.Equal(t, met[0], met[g])
		}
		return met
	}
	before := round(list)
	require.Empty(t, r.moves)
	round(list[:5])
	moved := map[int64]bool{}
	for _, m := range r.moves {
		require.False(t, moved[m.SessionID], "told twice")
		moved[m.SessionID] = true
	}
	for i, id := range before[0] {
		require.Equal(t, id >= "room-05", moved[int64(i)+1])
	}
}
