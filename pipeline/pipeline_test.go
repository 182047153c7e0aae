package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/pipeline"
)

type keyType struct{}

func layer(name string, trace *[]string) pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, in any) (any, error) {
			*trace = append(*trace, name+">")
			out, err := next(ctx, in)
			*trace = append(*trace, "<"+name)
			return out, err
		}
	}
}

func TestTheFirstIsTheOutermost(t *testing.T) {
	t.Parallel()
	var trace []string
	chain := pipeline.Chain(layer("a", &trace), nil, pipeline.Chain(layer("b", &trace)), layer("c", &trace))
	h := chain(func(context.Context, any) (any, error) {
		trace = append(trace, "handler")
		return 1, nil
	})
	for range 2 {
		trace = nil
		out, err := h(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, 1, out)
		require.Equal(t, "a> b> c> handler <c <b <a", strings.Join(trace, " "))
	}
}

func TestEmptyChain(t *testing.T) {
	t.Parallel()
	h := pipeline.Chain()(func(_ context.Context, in any) (any, error) { return in, nil })
	out, err := h(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, "x", out)
}

func TestChainKeepsItsOwnList(t *testing.T) {
	t.Parallel()
	var trace []string
	list := []pipeline.Middleware{nil, layer("a", &trace)}
	chain := pipeline.Chain(list...)
	require.Nil(t, list[0])
	require.NotNil(t, list[1])
	list[1] = layer("changed", &trace)
	_, _ = chain(func(context.Context, any) (any, error) { return nil, nil })(t.Context(), nil)
	require.Equal(t, []string{"a>", "<a"}, trace)
}

func TestBeforeAndAfter(t *testing.T) {
	t.Parallel()
	refusal, failure := errors.New("refused"), errors.New("failed")
	chain := pipeline.Chain(
		pipeline.After(func(_ context.Context, out any, err error) (any, error) {
			if errors.Is(err, failure) {
				return "mended", nil
			}
			return out, err
		}),
		pipeline.Before(func(ctx context.Context, in any) (context.Context, any, error) {
			if in == "refuse" {
				return nil, nil, refusal
			}
			return context.WithValue(ctx, keyType{}, "seen"), in.(string) + "!", nil
		}),
		pipeline.Before(func(_ context.Context, in any) (context.Context, any, error) { return nil, in, nil }),
	)
	h := chain(func(ctx context.Context, in any) (any, error) {
		if in == "fail!" {
			return nil, failure
		}
		return fmt.Sprint(in, " ", ctx.Value(keyType{})), nil
	})
	out, err := h(t.Context(), "hi")
	require.NoError(t, err)
	require.Equal(t, "hi! seen", out)
	out, err = h(t.Context(), "refuse")
	require.ErrorIs(t, err, refusal)
	require.Nil(t, out)
	out, err = h(t.Context(), "fail")
	require.NoError(t, err)
	require.Equal(t, "mended", out)
}

type screaming struct{}

func (screaming) Error() string { panic("even its text") }

func TestN19_Recover(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"boom", errors.New("boom"), errs.New("GAME-1", "boom")} {
		var heard any
		var trace []byte
		h := pipeline.Recover(pipeline.RecoverParams{Panicked: func(_ context.Context, v any, stack []byte) {
			heard, trace = v, stack
		}})(func(context.Context, any) (any, error) { panic(value) })
		out, err := h(t.Context(), nil)
		require.Nil(t, out)
		require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
		require.EqualError(t, err, "boom")
		require.Equal(t, value, heard)
		require.Contains(t, string(trace), "pipeline_test")
	}
	for _, value := range []any{screaming{}, nil} {
		h := pipeline.Recover(pipeline.RecoverParams{})(func(context.Context, any) (any, error) { panic(value) })
		_, err := h(t.Context(), nil)
		require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
	}
	h := pipeline.Recover(pipeline.RecoverParams{Hide: true})(func(context.Context, any) (any, error) { panic("secret") })
	_, err := h(t.Context(), nil)
	require.EqualError(t, err, "internal error")
	h = pipeline.Recover(pipeline.RecoverParams{})(func(context.Context, any) (any, error) { return 1, context.Canceled })
	out, err := h(t.Context(), nil)
	require.Equal(t, 1, out)
	require.ErrorIs(t, err, context.Canceled)
}

type signUp struct {
	Name  string `validate:"required,max=5"`
	Age   int    `validate:"gte=0,lte=150"`
	Inner *struct {
		Mail string `validate:"email"`
	}
}

type badTag struct {
	Name string `validate:"no-such-rule"`
}

func TestValidate(t *testing.T) {
	t.Parallel()
	ran := false
	h := pipeline.Validate()(func(_ context.Context, in any) (any, error) {
		ran = true
		return in, nil
	})
	var nobody *signUp
	for _, in := range []any{
		nil, []byte("x"), 7, nobody, map[string]int{}, &signUp{Name: "ann"}, signUp{Name: "ann", Age: 150}, struct{}{},
	} {
		ran = false
		out, err := h(t.Context(), in)
		require.NoError(t, err)
		require.True(t, ran)
		require.Equal(t, in, out)
	}
	ran = false
	_, err := h(t.Context(), &signUp{Name: "too long", Age: -1})
	require.Equal(t, errs.CodeBadRequest, errs.CodeOf(err))
	require.Equal(t, map[string]string{"signUp.Name": "max", "signUp.Age": "gte"}, errs.From(err).Metadata)
	require.ErrorContains(t, err, "Name")
	_, err = h(t.Context(), &badTag{})
	require.Equal(t, errs.CodeInternal, errs.CodeOf(err))
	require.ErrorContains(t, err, "no-such-rule")
	require.False(t, ran)
}

func ExampleChain() {
	logged := pipeline.After(func(_ context.Context, out any, err error) (any, error) {
		fmt.Println("answer:", out, err)
		return out, err
	})
	trimmed := pipeline.Before(func(ctx context.Context, in any) (context.Context, any, error) {
		return ctx, strings.TrimSpace(in.(string)), nil
	})
	h := pipeline.Chain(logged, trimmed)(func(_ context.Context, in any) (any, error) {
		return "hello " + in.(string), nil
	})
	_, _ = h(context.Background(), "  ann ")
	// Output: answer: hello ann <nil>
}

func BenchmarkChain(b *testing.B) {
	pass := func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, in any) (any, error) { return next(ctx, in) }
	}
	h := pipeline.Chain(pipeline.Recover(pipeline.RecoverParams{}), pass, pass)(
		func(_ context.Context, in any) (any, error) { return in, nil })
	in := any(&signUp{})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h(b.Context(), in)
	}
}
