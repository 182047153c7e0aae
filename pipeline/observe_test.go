package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/pipeline"
)

func TestObserve(t *testing.T) {
	t.Parallel()
	failure := errors.New("failed")
	var heard []error
	observe := pipeline.Observe(func(_ context.Context, elapsed time.Duration, err error) {
		require.GreaterOrEqual(t, elapsed, time.Duration(0))
		heard = append(heard, err)
	})
	h := pipeline.Chain(observe, pipeline.Recover(pipeline.RecoverParams{}))(func(_ context.Context, in any) (any, error) {
		switch in {
		case "fail":
			return nil, failure
		case "panic":
			panic("boom")
		}
		return in, nil
	})
	out, err := h(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, "x", out)
	_, err = h(t.Context(), "fail")
	require.ErrorIs(t, err, failure)
	_, err = h(t.Context(), "panic")
	require.Error(t, err)
	require.Len(t, heard, 3)
	require.NoError(t, heard[0])
	require.ErrorIs(t, heard[1], failure)
	require.EqualError(t, heard[2], "boom")

	bare := observe(func(context.Context, any) (any, error) { panic("boom") })
	require.PanicsWithValue(t, "boom", func() { _, _ = bare(t.Context(), nil) })
	require.Len(t, heard, 4)
}
