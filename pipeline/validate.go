package pipeline

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/cereus-game/cereus/errs"
	"github.com/go-playground/validator/v10"
)

// Validate checks arguments that are structs, or pointers to them, by their
// `validate` tags (config key defaultpipelines.structvalidation.enabled); other
// arguments pass. What does not fit is [errs.CodeBadRequest] with the failed
// rule of every field in the metadata. Tags that the validator does not know
// give [errs.CodeInternal].
func Validate() Middleware {
	check := validator.New(validator.WithRequiredStructEnabled())
	return Before(func(ctx context.Context, in any) (context.Context, any, error) {
		return ctx, in, validate(ctx, check, in)
	})
}

func validate(ctx context.Context, check *validator.Validate, in any) (err error) {
	if !isStruct(in) {
		return nil
	}
	// The validator panics on a tag that it cannot read.
	defer func() {
		if v := recover(); v != nil {
			err = errs.New(errs.CodeInternal, fmt.Sprint(v))
		}
	}()
	err = check.StructCtx(ctx, in)
	if err == nil {
		return nil
	}
	refused := errs.Wrap(errs.CodeBadRequest, err)
	if fields, ok := errors.AsType[validator.ValidationErrors](err); ok {
		for _, f := range fields {
			refused = refused.With(f.Namespace(), f.Tag())
		}
	}
	return refused
}

func isStruct(in any) bool {
	v := reflect.ValueOf(in)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v.Kind() == reflect.Struct
}
