package errs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
)

func TestFrom(t *testing.T) {
	t.Parallel()
	plain := errors.New("boom")
	coded := errs.New("GAME-7", "no gold")
	tests := []struct {
		name string
		err  error
		code errs.Code
		text string
	}{
		{"plain", plain, errs.CodeInternal, "boom"},
		{"coded", coded, "GAME-7", "no gold"},
		{"coded inside", fmt.Errorf("buying: %w", coded), "GAME-7", "no gold"},
		{"deadline", fmt.Errorf("call: %w", context.DeadlineExceeded), errs.CodeTimeout, "call: context deadline exceeded"},
		{"cancelled", context.Canceled, errs.CodeInternal, "context canceled"},
		{"joined", errors.Join(plain, errs.ErrBusy), errs.CodeBusy, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := errs.From(tt.err)
			require.Equal(t, tt.code, e.Code)
			require.Equal(t, tt.text, e.Message)
			require.Equal(t, tt.code, errs.CodeOf(tt.err))
		})
	}
	require.ErrorIs(t, errs.From(plain), plain)
}

func TestNil(t *testing.T) {
	t.Parallel()
	require.Nil(t, errs.From(nil))
	require.Nil(t, errs.Wrap(errs.CodeBusy, nil))
	require.Equal(t, errs.Code(""), errs.CodeOf(nil))
	var none *errs.Error
	require.Equal(t, "<nil>", none.Error())
	require.NoError(t, none.Unwrap())
	require.NotErrorIs(t, none, errs.ErrBusy)
	require.NotErrorIs(t, errs.ErrBusy, none)
	require.Equal(t, errs.CodeInternal, errs.CodeOf(fmt.Errorf("odd: %w", none)))
}

// What came over the wire has no identity, only code and message.
func TestIsComparesCodeAndMessage(t *testing.T) {
	t.Parallel()
	arrived := &errs.Error{Code: "PIT-500", Message: "no servers available of this type"}
	require.ErrorIs(t, arrived, errs.ErrNoServer)
	require.ErrorIs(t, arrived, errs.ErrUnavailable, "a sentinel without a message matches its code")
	require.ErrorIs(t, fmt.Errorf("call: %w", arrived), errs.ErrNoServer)
	require.NotErrorIs(t, arrived, errs.ErrNoContext)
	require.NotErrorIs(t, arrived, errs.ErrBusy)
	require.NotErrorIs(t, arrived, errors.New("no servers available of this type"))
	require.NotErrorIs(t, errs.ErrUnavailable, errs.ErrNoServer)
}

func TestWithCopies(t *testing.T) {
	t.Parallel()
	first := errs.ErrNoServer.With("type", "room")
	second := first.With("type", "lobby").With("route", "a.b.c")
	require.Nil(t, errs.ErrNoServer.Metadata)
	require.Equal(t, map[string]string{"type": "room"}, first.Metadata)
	require.Equal(t, map[string]string{"type": "lobby", "route": "a.b.c"}, second.Metadata)
	require.ErrorIs(t, second, errs.ErrNoServer)
}

func TestWrap(t *testing.T) {
	t.Parallel()
	inner := errs.ErrBusy.With("maybe", "true")
	outer := errs.Wrap(errs.CodeUnavailable, fmt.Errorf("room-1: %w", inner))
	require.Equal(t, errs.CodeUnavailable, outer.Code)
	require.Equal(t, "room-1: server busy, try again later", outer.Message)
	require.Equal(t, "true", outer.Metadata["maybe"])
	require.ErrorIs(t, outer, errs.ErrBusy)
	require.ErrorIs(t, outer, errs.ErrUnavailable)

	outer.Metadata["maybe"] = "changed"
	require.Equal(t, "true", inner.Metadata["maybe"], "the inner error's metadata is its own")
}

func TestThereIsAlwaysAText(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, code := range []errs.Code{
		errs.CodeInternal, errs.CodeBadRequest, errs.CodeNotFound, errs.CodeTimeout, errs.CodeConflict,
		errs.CodeTooLarge, errs.CodeRateLimited, errs.CodeClosed, errs.CodeUnavailable, errs.CodeBusy, "", "GAME-7",
	} {
		text := errs.New(code, "").Error()
		require.NotEmpty(t, text)
		require.False(t, seen[text], "%s says the same as another", code)
		seen[text] = true
	}
	require.Equal(t, "said", errs.New(errs.CodeBusy, "said").Error())
}
