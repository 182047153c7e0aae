package session_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// entity records what a session does to the outside. With a pool it binds the
// way a frontend's agent does.
type entity struct {
	pool   *session.Pool
	closes atomic.Int64
	err    error
	save   func(changes, all []byte) error

	mu     sync.Mutex
	pushed []string
}

func (e *entity) Push(_ context.Context, route string, _ any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pushed = append(e.pushed, route)
	return e.err
}

func (e *entity) Bind(ctx context.Context, s *session.Session, uid string) error {
	if e.pool == nil {
		return e.err
	}
	return e.pool.Bind(ctx, s, uid)
}

func (e *entity) Save(_ context.Context, _ *session.Session, changes, all []byte) error {
	return e.save(changes, all)
}

func (e *entity) Kick(_ context.Context, s *session.Session, reason string) error {
	s.Close(reason)
	return e.err
}

func (e *entity) Close(string) { e.closes.Add(1) }

func open(t testing.TB, p session.Params) *session.Session {
	t.Helper()
	if p.Entity == nil {
		p.Entity = &entity{}
	}
	s, err := session.New(p)
	require.NoError(t, err)
	return s
}

func TestFacts(t *testing.T) {
	t.Parallel()
	hs := &protocol.HandshakeRequest{}
	e := &entity{}
	s := open(t, session.Params{ID: 7, UID: "ann", Frontend: "f-1", Handshake: hs, Entity: e})
	require.EqualValues(t, 7, s.ID())
	require.Equal(t, "ann", s.UID())
	require.Equal(t, "f-1", s.Frontend())
	require.Same(t, hs, s.Handshake())
	require.Nil(t, s.RemoteAddr())
	require.Same(t, e, s.Entity())
}

func TestContextCarriesTheSession(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancel(t.Context())
	s := open(t, session.Params{Context: parent})
	got, ok := session.FromContext(s.Context())
	require.True(t, ok)
	require.Same(t, s, got)
	_, ok = session.FromContext(parent)
	require.False(t, ok)
	got, _ = session.FromContext(session.NewContext(parent, s))
	require.Same(t, s, got)
	cancel()
	<-s.Context().Done()
}

func TestCloseEndsTheContextWithItsReason(t *testing.T) {
	t.Parallel()
	early, late := open(t, session.Params{}), open(t, session.Params{})
	ctx := early.Context()
	for _, s := range []*session.Session{early, late} {
		s.Close("slow")
		<-s.Context().Done()
		cause := context.Cause(s.Context())
		require.ErrorIs(t, cause, errs.ErrClosed)
		require.Equal(t, "slow", errs.From(cause).Metadata["reason"])
	}
	require.Error(t, ctx.Err())
}

// A handler that hears of the end must find nobody to answer.
func TestTheConnectionIsToldBeforeTheContext(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		e := &lastWords{}
		e.session = open(t, session.Params{Entity: e})
		if known {
			require.NoError(t, e.session.Context().Err())
		}
		e.session.Close("gone")
		require.NoError(t, e.err)
		require.Error(t, e.session.Context().Err())
	}
}

// lastWords notes whether the context of its session was done when the connection
// was told to close.
type lastWords struct {
	entity
	session *session.Session
}

func (l *lastWords) Close(string) { l.err = l.session.Context().Err() }

func TestAfterClose(t *testing.T) {
	t.Parallel()
	e := &entity{}
	s := open(t, session.Params{UID: "ann", Entity: e})
	require.NoError(t, s.Push(t.Context(), "onChat", nil))
	s.Close("gone")
	require.ErrorIs(t, s.Push(t.Context(), "onChat", nil), errs.ErrClosed)
	require.ErrorIs(t, s.Kick(t.Context(), "x"), errs.ErrClosed)
	require.Equal(t, "ann", s.UID(), "hooks know who left")
	require.Equal(t, []string{"onChat"}, e.pushed)
	ran := false
	s.OnClose(func(*session.Session) { ran = true })
	require.True(t, ran, "a hook that comes too late runs at once")
}

func TestN19_CloseHooksMayPanic(t *testing.T) {
	t.Parallel()
	logger, logged := logtest.NewNullLogger()
	s := open(t, session.Params{Log: logger})
	var order []int
	s.OnClose(func(*session.Session) { order = append(order, 1); panic("one") })
	s.OnClose(func(s *session.Session) { order = append(order, 2); s.Close("again") })
	s.OnClose(func(s *session.Session) {
		s.OnClose(func(*session.Session) { order = append(order, 4) })
		order = append(order, 3)
	})
	s.Close("done")
	require.Equal(t, []int{1, 2, 4, 3}, order)
	require.Len(t, logged.AllEntries(), 1)
	require.Equal(t, "session close hook panicked", logged.LastEntry().Message)
	require.Equal(t, logrus.Fields{"panic": "one", "session": int64(0)}, logged.LastEntry().Data)
}

// S13: hooks exactly once, whoever closes, however often, from wherever.
func TestS13_CloseFromEverywhere(t *testing.T) {
	t.Parallel()
	for range 50 {
		pool := session.NewPool(session.PoolParams{})
		var unbound, bound atomic.Int64
		pool.OnBind(func(context.Context, *session.Session, string) error { bound.Add(1); return nil })
		pool.OnUnbind(func(context.Context, *session.Session, string) { unbound.Add(1) })
		e := &entity{pool: pool}
		s := open(t, session.Params{ID: pool.NextID(), Entity: e})
		require.NoError(t, pool.Add(s))
		var hooks atomic.Int64
		s.OnClose(func(s *session.Session) { hooks.Add(1); s.Close("from the hook") })

		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_ = s.Push(t.Context(), "onChat", nil)
				_ = s.Bind(t.Context(), "ann")
				_ = s.Set("k", i)
				s.Close("test")
				s.Close("test")
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, hooks.Load())
		require.EqualValues(t, 1, e.closes.Load())
		require.Equal(t, bound.Load(), unbound.Load(), "a Bind that began is undone once")
		require.LessOrEqual(t, bound.Load(), int64(1))
		require.Zero(t, pool.Count())
		require.Zero(t, pool.CountBound())
	}
}

func TestBackendBind(t *testing.T) {
	t.Parallel()
	refusal := errors.New("refused")
	e := &entity{err: refusal}
	s := open(t, session.Params{Backend: true, Entity: e})
	require.ErrorIs(t, s.Bind(t.Context(), "ann"), refusal)
	require.Empty(t, s.UID())
	e.err = nil
	require.NoError(t, s.Bind(t.Context(), "ann"))
	require.Equal(t, "ann", s.UID())
	require.ErrorIs(t, s.Bind(t.Context(), "ann"), errs.ErrAlreadyBound)
	require.ErrorContains(t, s.Unbind(t.Context()), "only on its frontend")
	require.ErrorIs(t, open(t, session.Params{}).Unbind(t.Context()), errs.ErrClosed)
}

func TestN10_CheckUID(t *testing.T) {
	t.Parallel()
	for _, uid := range []string{"a", "ann.smith", "*", ">", "a b", "zoë", "玩家", strings.Repeat("x", session.MaxUID)} {
		require.NoError(t, session.CheckUID(uid), uid)
	}
	for _, uid := range []string{"", "a\nb", "\x00", "\xff", "a\u200b", strings.Repeat("x", session.MaxUID+1)} {
		require.ErrorIs(t, session.CheckUID(uid), errs.ErrIllegalUID)
		require.NotEmpty(t, errs.From(session.CheckUID(uid)).Metadata["cause"])
		require.ErrorIs(t, open(t, session.Params{Backend: true}).Bind(t.Context(), uid), errs.ErrIllegalUID)
	}
}

func FuzzCheckUID(f *testing.F) {
	f.Add("ann")
	f.Add("\x00*>.")
	f.Fuzz(func(t *testing.T, uid string) {
		if session.CheckUID(uid) == nil && (uid == "" || len(uid) > session.MaxUID || strings.ContainsAny(uid, "\n\r\t\x00")) {
			t.Fatalf("accepted %q", uid)
		}
	})
}
