package pipeline_test

import (
	"context"
	"fmt"

	"github.com/cereus-game/cereus/errs"
	"github.com/cereus-game/cereus/pipeline"
)

func ExampleRecover() {
	h := pipeline.Recover(pipeline.RecoverParams{
		Panicked: func(_ context.Context, value any, _ []byte) { fmt.Println("log:", value) },
	})(func(context.Context, any) (any, error) { panic("no such room") })
	_, err := h(context.Background(), nil)
	fmt.Println(errs.CodeOf(err), err)
	// Output:
	// log: no such room
	// PIT-000 no such room
}

func ExampleValidate() {
	type rename struct {
		Name string `validate:"required,max=16"`
	}
	h := pipeline.Validate()(func(context.Context, any) (any, error) { return "renamed", nil })
	fmt.Println(h(context.Background(), &rename{Name: "ann"}))
	_, err := h(context.Background(), &rename{})
	fmt.Println(errs.CodeOf(err), errs.From(err).Metadata)
	// Output:
	// renamed <nil>
	// PIT-400 map[rename.Name:required]
}
