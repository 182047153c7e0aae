package dispatch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/constants"
	"github.com/cereus-game/cereus/errs"
)

type someKey struct{}

func TestCallContextWithoutADeadlineIsItsParent(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), someKey{}, 1))
	c := &callContext{Context: parent, call: Call{Route: "a.b.c"}}
	_, ok := c.Deadline()
	require.False(t, ok)
	require.Equal(t, parent.Done(), c.Done())
	require.Equal(t, 1, c.Value(someKey{}))
	require.Equal(t, "a.b.c", FromContext(c).Route)
	c.finish()
	require.NoError(t, c.Err())
	cancel()
	require.ErrorIs(t, c.Err(), context.Canceled)
}

func TestCallContextDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deadline := time.Now().Add(time.Second)
		c := &callContext{Context: t.Context(), deadline: deadline}
		got, ok := c.Deadline()
		require.True(t, ok)
		require.Equal(t, deadline, got)
		require.Nil(t, c.timed, "a timer that nobody asked for")
		child, cancel := context.WithCancel(c)
		defer cancel()
		<-child.Done()
		require.Equal(t, deadline, time.Now())
		require.ErrorIs(t, c.Err(), context.DeadlineExceeded)
		require.ErrorIs(t, context.Cause(child), context.DeadlineExceeded)
		c.finish()
		require.ErrorIs(t, c.Err(), context.DeadlineExceeded)
	})
}

func TestCallContextIsDoneWhenTheCallIs(t *testing.T) {
	t.Parallel()
	early := &callContext{Context: t.Context(), deadline: time.Now().Add(time.Hour)}
	done := early.Done()
	early.finish()
	<-done
	require.ErrorIs(t, early.Err(), context.Canceled)
	late := &callContext{Context: t.Context(), deadline: time.Now().Add(time.Hour)}
	late.finish()
	<-late.Done()
	require.ErrorIs(t, late.Err(), context.Canceled)
	late.finish()
}

func TestCallContextEndsWithItsParent(t *testing.T) {
	t.Parallel()
	cause := errors.New("session closed")
	parent, cancel := context.WithCancelCause(t.Context())
	c := &callContext{Context: parent, deadline: time.Now().Add(time.Hour)}
	defer c.finish()
	child, stop := context.WithCancel(c)
	defer stop()
	cancel(cause)
	<-child.Done()
	require.ErrorIs(t, context.Cause(c), cause)
}

func TestCallContextRace(t *testing.T) {
	t.Parallel()
	for range 200 {
		c := &callContext{Context: t.Context(), deadline: time.Now().Add(time.Hour)}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { <-c.Done() })
			all.Go(func() { _ = c.Err() })
		}
		all.Go(c.finish)
		all.Wait()
		require.Error(t, c.Err())
	}
}

func TestWithValue(t *testing.T) {
	t.Parallel()
	base := &callContext{Context: t.Context(), call: Call{Route: "a.b.c", meta: metadata{requestID: "r1"}}}
	one, err := WithValue(base, "one", map[string]int{"a": 1})
	require.NoError(t, err)
	two, err := WithValue(one, "two", []byte("x"))
	require.NoError(t, err)
	var got map[string]int
	ok, err := Value(two, "one", &got)
	require.True(t, ok)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 1}, got)
	require.Equal(t, "r1", FromContext(two).RequestID())
	require.Equal(t, "a.b.c", FromContext(two).Route)

	ok, err = Value(one, "two", &got)
	require.False(t, ok, "a value went up the tree")
	require.NoError(t, err)
	ok, err = Value(two, "two", &got)
	require.True(t, ok)
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	ok, _ = Value(t.Context(), "one", &got)
	require.False(t, ok)
	_, err = WithValue(t.Context(), "f", func() {})
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))

	meta, route := inherited(two)
	require.Len(t, meta.others.values(), 2)
	require.Equal(t, "a.b.c", route)
}

// Keys of the framework, and shapes that break a Pitaya server (wire.md 9.3),
// are refused.
func TestWithValueRefuses(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", constants.PeerIDKey, constants.PeerServiceKey, constants.RequestIDKey, constants.RouteKey,
		constants.StartTimeKey, constants.TimeoutKey, constants.HopsKey,
	} {
		_, err := WithValue(t.Context(), key, "x")
		require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err), key)
	}
	for _, key := range []string{constants.OtelSpanKey, constants.OpenTracingSpanKey, constants.MetricTagsKey} {
		_, err := WithValue(t.Context(), key, "x")
		require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err), key)
		_, err = WithValue(t.Context(), key, map[string]string{"a": "b"})
		require.NoError(t, err, key)
	}
}
