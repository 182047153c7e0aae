package component

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/cereus-game/cereus/errs"
	"google.golang.org/protobuf/proto"
)

// found looks for the methods of c that are handlers (or remotes). Methods
// that look like one and are not are faults, all reported together.
func found(c any, nameFunc func(string) string, as role) ([]*Method, error) {
	v := reflect.ValueOf(c)
	t := v.Type()
	var methods []*Method
	var faults []error
	for i := range t.NumMethod() {
		name := t.Method(i).Name
		if isHook(name) || !takesContext(t.Method(i).Type) {
			continue
		}
		m, err := inspect(v, i, as)
		if err != nil {
			faults = append(faults, fmt.Errorf("method %s: %w", name, err))
			continue
		}
		if nameFunc != nil {
			m.Name = nameFunc(name)
		}
		methods = append(methods, m)
	}
	return methods, errors.Join(faults...)
}

// takesContext reports whether a method type (with its receiver) has a context
// as its first parameter.
func takesContext(t reflect.Type) bool {
	return t.NumIn() > 1 && t.In(1) == reflect.TypeFor[context.Context]()
}

// inspect makes a Method of the i-th method of v, or says why it is none.
func inspect(v reflect.Value, i int, as role) (*Method, error) {
	t := v.Type().Method(i)
	if err := checkShape(t.Type); err != nil {
		return nil, err
	}
	switch fn := v.Method(i).Interface().(type) {
	case func(context.Context, []byte) ([]byte, error):
		return rawRequestMethod(t.Name, fn, as), nil
	case func(context.Context, []byte):
		return rawNotifyMethod(t.Name, fn, as), nil
	case func(context.Context) ([]byte, error):
		return plainRequestMethod(t.Name, fn, as), nil
	case func(context.Context):
		return plainNotifyMethod(t.Name, fn, as), nil
	}
	return reflected(v, t, as), nil
}

// checkShape accepts what wire.md 9.1 lists: a context, at most one argument
// (a pointer or bytes), and nothing or (a pointer or bytes, error) as results.
func checkShape(t reflect.Type) error {
	switch {
	case t.IsVariadic():
		return errors.New("it is variadic; a handler takes a context and at most one argument")
	case t.NumIn() > 3:
		return fmt.Errorf("it takes %d arguments after the context; a handler takes at most one", t.NumIn()-2)
	case t.NumIn() == 3 && !pointerOrBytes(t.In(2)):
		return fmt.Errorf("its argument is %s; it must be a pointer or []byte", t.In(2))
	case t.NumOut() == 0:
		return nil
	case t.NumOut() != 2 || t.Out(1) != reflect.TypeFor[error]():
		return errors.New("it must return nothing (notify) or a reply and an error")
	case !pointerOrBytes(t.Out(0)):
		return fmt.Errorf("its reply is %s; it must be a pointer or []byte", t.Out(0))
	}
	return nil
}

func pointerOrBytes(t reflect.Type) bool {
	return t == reflect.TypeFor[[]byte]() || t.Kind() == reflect.Pointer && t.Elem().Kind() != reflect.Pointer
}

// reflected makes a Method that is called by reflection.
func reflected(v reflect.Value, t reflect.Method, as role) *Method {
	m := &Method{Name: t.Name, Kind: KindNotify, as: as}
	if t.Type.NumOut() == 2 {
		m.Kind, m.outType = KindRequest, t.Type.Out(0).String()
	}
	if t.Type.NumIn() == 2 {
		m.call = func(ctx context.Context, _ any) (any, error) {
			return reflectedReply(t.Func.Call([]reflect.Value{v, reflect.ValueOf(ctx)}))
		}
		return m
	}
	in := t.Type.In(2)
	m.setArgument(in)
	m.call = func(ctx context.Context, arg any) (any, error) {
		value := reflect.ValueOf(arg)
		if !value.IsValid() && m.arg == argRaw {
			value = reflect.Zero(in)
		} else if !value.IsValid() || value.Type() != in {
			return nil, m.wrongArgument(arg)
		}
		return reflectedReply(t.Func.Call([]reflect.Value{v, reflect.ValueOf(ctx), value}))
	}
	return m
}

func (m *Method) setArgument(in reflect.Type) {
	m.argType = in.String()
	if in.Kind() != reflect.Pointer {
		m.arg = argRaw
		return
	}
	m.arg = argTyped
	if m.as == asRemotes && in.Implements(reflect.TypeFor[proto.Message]()) {
		m.arg = argProto
	}
	elem := in.Elem()
	m.newArg = func() any { return reflect.New(elem).Interface() }
}

func reflectedReply(out []reflect.Value) (any, error) {
	if len(out) == 0 {
		return nil, nil
	}
	if err, _ := reflect.TypeAssert[error](out[1]); err != nil {
		return nil, err
	}
	if out[0].IsNil() {
		return nil, errs.ErrNilReply
	}
	return out[0].Interface(), nil
}
