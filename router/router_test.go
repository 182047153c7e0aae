package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/cluster"
	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/route"
	"github.com/cereus-game/cereus/router"
)

func servers(n int) []*cluster.Server {
	list := make([]*cluster.Server, n)
	for i := range list {
		list[i] = &cluster.Server{ID: fmt.Sprintf("room-%02d", i), Type: "room"}
	}
	return list
}

func call() router.Call {
	return router.Call{
		Route: route.Route{ServerType: "room", Service: "chat", Method: "join"}, ServerType: "room",
		Kind: router.ToHandler, SessionID: 1, UID: "ann",
	}
}

// without is the list as it is offered to a call that failed at these servers.
func without(list []*cluster.Server, ids ...string) []*cluster.Server {
	if len(ids) == 0 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(s *cluster.Server) bool { return slices.Contains(ids, s.ID) })
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	r, c := router.New(), call()
	_, err := r.Pick(t.Context(), c, nil)
	require.ErrorIs(t, err, errs.ErrNoServer)
	r.Set("room", router.ToHandler, func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) {
		panic("must not be asked")
	})
	_, err = r.Pick(t.Context(), c, []*cluster.Server{})
	require.ErrorIs(t, err, errs.ErrNoServer)
	_, err = router.Random()(t.Context(), c, nil)
	require.ErrorIs(t, err, errs.ErrNoServer)
}

func TestCustomFunc(t *testing.T) {
	t.Parallel()
	r, c, list := router.New(), call(), servers(3)
	var seen []*cluster.Server
	r.Set("room", router.ToHandler, func(_ context.Context, got router.Call, from []*cluster.Server) (*cluster.Server, error) {
		require.Equal(t, "ann", got.UID)
		seen = from
		return &cluster.Server{ID: "room-02"}, nil // an older value of the same server
	})
	s, err := r.Pick(t.Context(), c, list)
	require.NoError(t, err)
	require.Same(t, list[2], s, "always the value from the list")
	require.Equal(t, list, seen)

	_, err = r.Pick(t.Context(), c, list[:2])
	require.Equal(t, errs.CodeUnavailable, errs.CodeOf(err), "what was not offered is not accepted")
	require.Equal(t, map[string]string{"type": "room", "server": "room-02"}, errs.From(err).Metadata)

	c.Kind = router.ToRemote
	seen = nil
	_, err = r.Pick(t.Context(), c, list)
	require.NoError(t, err)
	require.Nil(t, seen, "remotes have a Func of their own")
	c.Kind = router.ToHandler
	r.Set("room", router.ToHandler, nil)
	_, err = r.Pick(t.Context(), c, list)
	require.NoError(t, err)
	require.Nil(t, seen, "nil brings the random choice back")
}

func TestN19_CustomFuncFails(t *testing.T) {
	t.Parallel()
	refusal := errors.New("full")
	for name, c := range map[string]struct {
		f    router.Func
		code errs.Code
	}{
		"panic": {func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) { panic("boom") }, errs.CodeInternal},
		"nil":   {func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) { return nil, nil }, errs.CodeUnavailable},
		"stranger": {func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) {
			return &cluster.Server{ID: "gone"}, nil
		}, errs.CodeUnavailable},
		"error": {func(context.Context, router.Call, []*cluster.Server) (*cluster.Server, error) { return nil, refusal }, errs.CodeInternal},
	} {
		r := router.New()
		r.Set("room", router.ToHandler, c.f)
		s, err := r.Pick(t.Context(), call(), servers(2))
		require.Nil(t, s, name)
		require.Equal(t, c.code, errs.CodeOf(err), name)
		require.Equal(t, name == "error", errors.Is(err, refusal))
	}
}

func TestSetWhilePicking(t *testing.T) {
	t.Parallel()
	r, list := router.New(), servers(4)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if _, err := r.Pick(t.Context(), call(), list); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 100 {
		r.Set("room", router.ToHandler, router.Random())
		r.Set("room", router.ToHandler, nil)
	}
	wg.Wait()
}

func pickFirst(_ context.Context, _ router.Call, from []*cluster.Server) (*cluster.Server, error) {
	return from[0], nil
}

func pickLast(_ context.Context, _ router.Call, from []*cluster.Server) (*cluster.Server, error) {
	return from[len(from)-1], nil
}

func TestDefaultAndBothKinds(t *testing.T) {
	t.Parallel()
	r, list := router.New(), servers(3)
	chosen := func(kind router.Kind) (seen []string) {
		c := call()
		c.Kind = kind
		for range 200 {
			s, err := r.Pick(t.Context(), c, list)
			require.NoError(t, err)
			if !slices.Contains(seen, s.ID) {
				seen = append(seen, s.ID)
			}
		}
		return seen
	}
	r.SetDefault(pickLast)
	require.Equal(t, []string{"room-02"}, chosen(router.ToHandler))
	r.Set("room", 0, pickFirst)
	require.Equal(t, []string{"room-00"}, chosen(router.ToHandler))
	require.Equal(t, []string{"room-00"}, chosen(router.ToRemote))
	r.Set("room", router.ToRemote, nil)
	require.Equal(t, []string{"room-00"}, chosen(router.ToHandler))
	require.Equal(t, []string{"room-02"}, chosen(router.ToRemote), "nil brings the default back")
	r.Set("room", 0, nil)
	require.Equal(t, []string{"room-02"}, chosen(router.ToHandler))
	r.SetDefault(nil)
	require.Len(t, chosen(router.ToHandler), 3)
}

func TestN19_LoadFuncPanics(t *testing.T) {
	t.Parallel()
	r, boom := router.New(), func(*cluster.Server) float64 { panic("boom") }
	r.Set("room", 0, router.LeastLoaded(boom))
	_, err := r.Pick(t.Context(), call(), servers(2))
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
	r.BoundKeys(router.Bound{Factor: 2, Load: boom})
	_, err = r.PickByKey(t.Context(), call(), servers(2))
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
}

func TestKindIsNamed(t *testing.T) {
	t.Parallel()
	require.Equal(t, "handler remote unknown", fmt.Sprint(router.ToHandler, " ", router.ToRemote, " ", router.Kind(0)))
}
