package session_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/protocol"
	"github.com/cereus-game/cereus/session"
)

// policyPool is a pool whose sessions go when they are replaced.
func policyPool(p session.Policy) *session.Pool {
	return session.NewPool(session.PoolParams{Policy: p, Replaced: func(old *session.Session) { old.Close("replaced") }})
}

func enters(t require.TestingT, pool *session.Pool, uid, device string) *session.Session {
	s, err := session.New(session.Params{
		ID: pool.NextID(), Entity: nobody{pool}, Handshake: &protocol.HandshakeRequest{User: map[string]any{"device": device}},
	})
	require.NoError(t, err)
	require.NoError(t, pool.Add(s))
	require.NoError(t, s.Bind(context.Background(), uid))
	return s
}

// nobody is a client that takes everything.
type nobody struct{ pool *session.Pool }

func (nobody) Push(context.Context, string, any) error { return nil }
func (n nobody) Bind(ctx context.Context, s *session.Session, uid string) error {
	return n.pool.Bind(ctx, s, uid)
}
func (nobody) Save(context.Context, *session.Session, []byte, []byte) error { return nil }
func (nobody) Kick(_ context.Context, s *session.Session, reason string) error {
	s.Close(reason)
	return nil
}
func (nobody) Close(string) {}

func of(pool *session.Pool, uid string) (all []*session.Session) {
	pool.OfUID(uid, func(s *session.Session) { all = append(all, s) })
	return all
}

func TestOneSessionPerDevice(t *testing.T) {
	t.Parallel()
	pool := policyPool(session.Policy{PerUser: 3, Device: "device"})
	require.True(t, pool.Several())
	phone, tablet := enters(t, pool, "ann", "phone"), enters(t, pool, "ann", "tablet")
	require.Equal(t, []*session.Session{phone, tablet}, of(pool, "ann"))
	phone2 := enters(t, pool, "ann", "phone")
	reason, closed := phone.Ended()
	require.True(t, closed)
	require.Equal(t, "replaced", reason)
	require.Equal(t, []*session.Session{tablet, phone2}, of(pool, "ann"))
	require.Equal(t, 1, pool.CountBound())
	pc, tv := enters(t, pool, "ann", "pc"), enters(t, pool, "ann", "tv")
	_, closed = tablet.Ended()
	require.True(t, closed, "a fourth device takes the place of the oldest")
	require.Equal(t, []*session.Session{phone2, pc, tv}, of(pool, "ann"))
	tv.Close("left")
	newest, ok := pool.ByUID("ann")
	require.True(t, ok)
	require.Equal(t, pc, newest)
	require.NoError(t, pc.Unbind(t.Context()))
	phone2.Close("left")
	_, ok = pool.ByUID("ann")
	require.False(t, ok)
	require.Zero(t, pool.CountBound())
}

// TestSeveralSessionsModel: the index holds the latest sessions of a user, in order.
func TestSeveralSessionsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const most = 3
		pool := policyPool(session.Policy{PerUser: most})
		model := map[string][]*session.Session{}
		t.Repeat(map[string]func(*rapid.T){
			"bind": func(t *rapid.T) {
				uid := rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "uid")
				now := append(model[uid], enters(t, pool, uid, ""))
				model[uid] = now[max(len(now)-most, 0):]
			},
			"close": func(t *rapid.T) {
				uid := rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "uid")
				if n := len(model[uid]); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(t, "which")
					model[uid][i].Close("left")
					model[uid] = append(append([]*session.Session(nil), model[uid][:i]...), model[uid][i+1:]...)
				}
			},
			"": func(t *rapid.T) {
				total := 0
				for _, uid := range []string{"ann", "bob"} {
					require.Len(t, of(pool, uid), len(model[uid]))
					for i, s := range of(pool, uid) {
						require.Same(t, model[uid][i], s)
					}
					total += len(model[uid])
				}
				require.Equal(t, total, pool.Count())
			},
		})
	})
}

func TestSeveralSessionsRace(t *testing.T) {
	t.Parallel()
	pool := policyPool(session.Policy{PerUser: 4, Device: "device"})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				s, err := session.New(session.Params{ID: pool.NextID(), Entity: nobody{pool}, Handshake: &protocol.HandshakeRequest{
					User: map[string]any{"device": fmt.Sprint((g + i) % 6)},
				}})
				require.NoError(t, err)
				require.NoError(t, pool.Add(s))
				if err := s.Bind(t.Context(), "ann"); err != nil {
					require.ErrorIs(t, err, errs.ErrClosed)
				}
				if i%3 == 0 {
					s.Close("left")
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, pool.Count(), 4)
	for _, s := range of(pool, "ann") {
		_, closed := s.Ended()
		require.False(t, closed)
		s.Close("left")
	}
	require.Zero(t, pool.Count()+pool.CountBound())
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	s, err := session.New(session.Params{ID: 1, Entity: nobody{}, Handshake: &protocol.HandshakeRequest{
		Sys:  protocol.HandshakeSys{Platform: "ios", BuildNumber: "7"},
		User: map[string]any{"age": float64(30), "tags": []any{"a"}, "name": "ann", "nothing": nil},
	}})
	require.NoError(t, err)
	require.Equal(t, "ios", s.Client().Platform)
	age, err := session.Attribute[int](s, "age")
	require.NoError(t, err)
	require.Equal(t, 30, age)
	tags, err := session.Attribute[[]string](s, "tags")
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, tags)
	list, err := session.Attribute[[]any](s, "tags")
	require.NoError(t, err)
	list[0] = "changed"
	list, err = session.Attribute[[]any](s, "tags")
	require.NoError(t, err)
	require.Equal(t, []any{"a"}, list, "everybody has a copy")
	_, err = session.Attribute[int](s, "name")
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	for _, key := range []string{"nothing", "missing"} {
		_, err = session.Attribute[string](s, key)
		require.ErrorIs(t, err, session.ErrNotSet)
	}
	backend, err := session.New(session.Params{ID: 1, Entity: nobody{}, Backend: true})
	require.NoError(t, err)
	require.Empty(t, backend.Client())
	_, err = session.Attribute[string](backend, "name")
	require.ErrorIs(t, err, session.ErrNotSet)
}
