package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/session"
)

func join(t testing.TB, pool *session.Pool) *session.Session {
	t.Helper()
	s := open(t, session.Params{ID: pool.NextID(), Entity: &entity{pool: pool}})
	require.NoError(t, pool.Add(s))
	return s
}

func TestPool(t *testing.T) {
	t.Parallel()
	pool := session.NewPool(session.PoolParams{})
	a, b := join(t, pool), join(t, pool)
	require.EqualValues(t, 1, a.ID())
	require.Equal(t, 2, pool.Count())
	got, ok := pool.ByID(2)
	require.True(t, ok)
	require.Same(t, b, got)
	_, ok = pool.ByUID("ann")
	require.False(t, ok)
	require.NoError(t, a.Bind(t.Context(), "ann"))
	got, ok = pool.ByUID("ann")
	require.True(t, ok)
	require.Same(t, a, got)
	require.Equal(t, 1, pool.CountBound())

	seen := map[int64]bool{}
	pool.Each(func(s *session.Session) bool { seen[s.ID()] = true; return true })
	require.Equal(t, map[int64]bool{1: true, 2: true}, seen)
	n := 0
	pool.Each(func(*session.Session) bool { n++; return false })
	require.Equal(t, 1, n)

	require.Equal(t, errs.CodeConflict, errs.CodeOf(pool.Add(a)))
	require.Equal(t, errs.CodeConflict, errs.CodeOf(session.NewPool(session.PoolParams{}).Add(a)))
	require.Equal(t, errs.CodeConflict, errs.CodeOf(pool.Add(open(t, session.Params{ID: 2}))))
	closed := open(t, session.Params{ID: 3})
	closed.Close("x")
	require.ErrorIs(t, pool.Add(closed), errs.ErrClosed)
	require.Equal(t, 2, pool.Count())

	a.Close("bye")
	b.Close("bye")
	require.Zero(t, pool.Count())
	require.Zero(t, pool.CountBound())
	_, ok = pool.ByUID("ann")
	require.False(t, ok)
}

func TestBindOrder(t *testing.T) {
	t.Parallel()
	var events []string
	var pool *session.Pool
	pool = session.NewPool(session.PoolParams{Replaced: func(old *session.Session) {
		now, _ := pool.ByUID("ann")
		events = append(events, fmt.Sprintf("replaced %d by %d", old.ID(), now.ID()))
		old.Close("replaced")
	}})
	note := func(what string) session.BindHook {
		return func(_ context.Context, s *session.Session, uid string) error {
			_, found := pool.ByUID(uid)
			events = append(events, fmt.Sprint(what, " ", s.ID(), " ", s.UID(), " ", found))
			return nil
		}
	}
	pool.OnBound(note("bound"))
	pool.OnBind(note("bind1"))
	pool.OnBind(note("bind2"))
	pool.OnAfterBind(note("after"))
	pool.OnUnbound(func(_ context.Context, s *session.Session, uid string) {
		events = append(events, fmt.Sprint("unbound ", s.ID(), " ", uid))
	})
	pool.OnUnbind(func(_ context.Context, s *session.Session, uid string) {
		now, _ := pool.ByUID(uid)
		events = append(events, fmt.Sprint("unbind ", s.ID(), " ", uid, " ", now == s))
	})
	a, b := join(t, pool), join(t, pool)
	require.NoError(t, a.Bind(t.Context(), "ann"))
	require.ErrorIs(t, a.Bind(t.Context(), "ann"), errs.ErrAlreadyBound)
	require.ErrorIs(t, a.Bind(t.Context(), ""), errs.ErrIllegalUID)
	require.NoError(t, b.Bind(t.Context(), "ann"))
	require.NoError(t, b.Unbind(t.Context()))
	require.ErrorIs(t, b.Unbind(t.Context()), errs.ErrNotBound)
	require.NoError(t, b.Bind(t.Context(), "bob"))
	pool.Remove(b)
	pool.Remove(b)
	b.Close("late")
	require.Equal(t, []string{
		"bind1 1  false", "bind2 1  false", "after 1 ann true", "bound 1 ann true",
		"bind1 2  true", "bind2 2  true", "replaced 1 by 2", "unbind 1 ann false", "unbound 1 ann",
		"after 2 ann true", "bound 2 ann true", "unbind 2 ann false", "unbound 2 ann",
		"bind1 2  false", "bind2 2  false", "after 2 bob true", "bound 2 bob true", "unbind 2 bob false", "unbound 2 bob",
	}, events)
	require.Zero(t, pool.Count())
	require.ErrorIs(t, pool.Bind(t.Context(), b, "ann"), errs.ErrClosed)
	require.ErrorIs(t, pool.Bind(t.Context(), open(t, session.Params{}), "ann"), errs.ErrSessionNotFound)
}

// S16: a Bind that fails, at any place and in any way, leaves nothing behind.
func TestS16_FailingHooks(t *testing.T) {
	t.Parallel()
	refusal := errors.New("refused")
	for name, fail := range map[string]func(s *session.Session) error{
		"error": func(*session.Session) error { return refusal },
		"panic": func(*session.Session) error { panic("refused") },
		"close": func(s *session.Session) error { s.Close("in a hook"); return nil },
	} {
		for _, place := range []string{"bind", "after", "bound"} {
			t.Run(name+"/"+place, func(t *testing.T) {
				t.Parallel()
				pool := session.NewPool(session.PoolParams{})
				var bound, undone, unbound int
				failing := true
				hook := func(_ context.Context, s *session.Session, _ string) error {
					if failing {
						return fail(s)
					}
					return nil
				}
				pool.OnBound(func(context.Context, *session.Session, string) error { bound++; return nil })
				map[string]func(session.BindHook){"bind": pool.OnBind, "after": pool.OnAfterBind, "bound": pool.OnBound}[place](hook)
				pool.OnUnbind(func(context.Context, *session.Session, string) { undone++ })
				pool.OnUnbound(func(context.Context, *session.Session, string) { unbound++ })
				s := join(t, pool)
				err := s.Bind(t.Context(), "ann")
				require.Error(t, err)
				require.Empty(t, s.UID())
				_, found := pool.ByUID("ann")
				require.False(t, found)
				require.Zero(t, pool.CountBound())
				require.Equal(t, 1, undone)
				require.Equal(t, bound, unbound, "who heard of it hears of its end")
				failing = false
				if name == "close" {
					require.ErrorIs(t, err, errs.ErrClosed)
					require.ErrorIs(t, s.Bind(t.Context(), "ann"), errs.ErrClosed)
					require.Equal(t, 1, undone)
					return
				}
				require.NoError(t, s.Bind(t.Context(), "ann"), "it may try again")
			})
		}
	}
}

// TestS16_RefusedUID: no hook hears of a uid that the pool refuses.
func TestS16_RefusedUID(t *testing.T) {
	t.Parallel()
	pool := session.NewPool(session.PoolParams{CheckUID: func(uid string) error {
		if uid == "a b" {
			return errs.ErrIllegalUID
		}
		return nil
	}})
	var heard []string
	pool.OnBind(func(_ context.Context, _ *session.Session, uid string) error {
		heard = append(heard, "bind "+uid)
		return nil
	})
	pool.OnUnbind(func(_ context.Context, _ *session.Session, uid string) { heard = append(heard, "unbind "+uid) })
	s := join(t, pool)
	require.ErrorIs(t, s.Bind(t.Context(), ""), errs.ErrIllegalUID)
	require.ErrorIs(t, s.Bind(t.Context(), "a b"), errs.ErrIllegalUID)
	require.Empty(t, heard)
	require.NoError(t, s.Bind(t.Context(), "ann"))
	require.Equal(t, []string{"bind ann"}, heard)
}

func TestS16_BindInsideAHook(t *testing.T) {
	t.Parallel()
	pool := session.NewPool(session.PoolParams{})
	s := join(t, pool)
	pool.OnAfterBind(func(ctx context.Context, s *session.Session, uid string) error {
		require.ErrorIs(t, s.Bind(ctx, "other"), errs.ErrAlreadyBound)
		require.ErrorIs(t, s.Unbind(ctx), session.ErrBinding)
		return nil
	})
	require.NoError(t, s.Bind(t.Context(), "ann"))
	require.Equal(t, "ann", s.UID())
}

// S16: binds, unbinds, closes and removals of a few sessions and uids at once.
// Whatever happened, a uid leads to an open session that has it, and every
// begun Bind was either kept or undone exactly once.
func TestS16_BindRaces(t *testing.T) {
	t.Parallel()
	for round := range 100 {
		var unbindBalance, hooks atomic.Int64
		pool := session.NewPool(session.PoolParams{Replaced: func(old *session.Session) { old.Close("replaced") }})
		pool.OnBind(func(context.Context, *session.Session, string) error {
			unbindBalance.Add(1)
			if hooks.Add(1)%7 == 0 {
				return errors.New("now and then")
			}
			return nil
		})
		pool.OnUnbind(func(context.Context, *session.Session, string) { unbindBalance.Add(-1) })
		sessions := make([]*session.Session, 6)
		for i := range sessions {
			sessions[i] = join(t, pool)
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 20 {
					s := sessions[(g+i)%len(sessions)]
					switch (g + i + round) % 5 {
					case 0, 1, 2:
						_ = s.Bind(t.Context(), fmt.Sprint("u", i%3))
					case 3:
						_ = s.Unbind(t.Context())
					case 4:
						if i > 10 {
							s.Close("race")
						}
					}
					if found, ok := pool.ByUID("u0"); ok {
						_ = found.UID()
					}
				}
			})
		}
		wg.Wait()
		live := 0
		for i := range 3 {
			uid := fmt.Sprint("u", i)
			if s, ok := pool.ByUID(uid); ok {
				require.Equal(t, uid, s.UID())
				require.NoError(t, s.Context().Err())
				live++
			}
		}
		require.Equal(t, live, pool.CountBound())
		require.EqualValues(t, live, unbindBalance.Load())
		open := 0
		pool.Each(func(*session.Session) bool { open++; return true })
		require.Equal(t, open, pool.Count())
		for _, s := range sessions {
			s.Close("end")
		}
		require.Zero(t, unbindBalance.Load())
		require.Zero(t, pool.Count()+pool.CountBound())
	}
}

func TestS14_OneUIDManySessions(t *testing.T) {
	t.Parallel()
	for range 50 {
		var kicked atomic.Int64
		pool := session.NewPool(session.PoolParams{Replaced: func(old *session.Session) {
			kicked.Add(1)
			old.Close("replaced")
		}})
		var wg sync.WaitGroup
		for range 8 {
			s := join(t, pool)
			wg.Go(func() { _ = s.Bind(t.Context(), "ann") })
		}
		wg.Wait()
		winner, ok := pool.ByUID("ann")
		require.True(t, ok)
		require.Equal(t, "ann", winner.UID())
		require.Equal(t, 1, pool.Count())
		require.EqualValues(t, 7, kicked.Load())
		winner.Close("end")
	}
}

// The pool against a plain model of it.
func TestPoolModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pool := session.NewPool(session.PoolParams{})
		all := []*session.Session{}
		uids := map[*session.Session]string{}
		index := map[string]*session.Session{}
		open := map[*session.Session]bool{}
		pick := func(t *rapid.T) *session.Session {
			if len(all) == 0 {
				t.Skip("no session yet")
			}
			return rapid.SampledFrom(all).Draw(t, "session")
		}
		leave := func(s *session.Session) {
			if index[uids[s]] == s {
				delete(index, uids[s])
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				s := must(session.New(session.Params{ID: pool.NextID(), Entity: &entity{pool: pool}}))
				require.NoError(t, pool.Add(s))
				all, open[s] = append(all, s), true
			},
			"bind": func(t *rapid.T) {
				s, uid := pick(t), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "uid")
				err := s.Bind(context.Background(), uid)
				switch {
				case !open[s]:
					require.ErrorIs(t, err, errs.ErrClosed)
				case uids[s] != "":
					require.ErrorIs(t, err, errs.ErrAlreadyBound)
				default:
					require.NoError(t, err)
					uids[s], index[uid] = uid, s
				}
			},
			"unbind": func(t *rapid.T) {
				s := pick(t)
				err := s.Unbind(context.Background())
				switch {
				case !open[s]:
					require.ErrorIs(t, err, errs.ErrClosed)
				case uids[s] == "":
					require.ErrorIs(t, err, errs.ErrNotBound)
				default:
					require.NoError(t, err)
					leave(s)
					uids[s] = ""
				}
			},
			"close": func(t *rapid.T) {
				s := pick(t)
				s.Close("model")
				leave(s)
				delete(open, s)
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(open), pool.Count())
				require.Equal(t, len(index), pool.CountBound())
				for _, uid := range []string{"a", "b", "c"} {
					s, ok := pool.ByUID(uid)
					require.Equal(t, index[uid] != nil, ok)
					require.Same(t, index[uid], s)
				}
				for _, s := range all {
					_, ok := pool.ByID(s.ID())
					require.Equal(t, open[s], ok)
					require.Equal(t, uids[s], s.UID())
				}
			},
		})
	})
}
