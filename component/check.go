package component

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds one part of a route; a whole route has at most 255 bytes on
// the wire (wire.md 3.3).
const maxName = 128

// hooks are the names that never become routes, each with what it must be.
func hookInterface(name string) reflect.Type {
	switch name {
	case "Init":
		return reflect.TypeFor[Initializer]()
	case "AfterInit":
		return reflect.TypeFor[AfterInitializer]()
	case "BeforeShutdown":
		return reflect.TypeFor[BeforeStopper]()
	case "Shutdown":
		return reflect.TypeFor[Stopper]()
	case "Routes":
		return reflect.TypeFor[Router]()
	default:
		return nil
	}
}

func isHook(name string) bool { return hookInterface(name) != nil }

// checkHooks refuses a hook that would silently never run, Init() without a
// context for example.
func checkHooks(c any) error {
	t := reflect.TypeOf(c)
	var faults []error
	for m := range t.Methods() {
		want := hookInterface(m.Name)
		if want != nil && !t.Implements(want) {
			faults = append(faults, fmt.Errorf("method %s: it has the name of a hook, whose signature is %s%s",
				m.Name, m.Name, strings.TrimPrefix(want.Method(0).Type.String(), "func")))
		}
	}
	return errors.Join(faults...)
}

func hasHooks(c any) bool {
	t := reflect.TypeOf(c)
	for m := range t.Methods() {
		if isHook(m.Name) {
			return true
		}
	}
	return false
}

// checkComponent refuses values whose methods cannot be called or seen.
func checkComponent(c any) error {
	if c == nil {
		return errors.New("it is nil")
	}
	v := reflect.ValueOf(c)
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("it is a nil pointer")
	}
	if v.Kind() != reflect.Pointer && reflect.PointerTo(v.Type()).NumMethod() > v.NumMethod() {
		return errors.New("some of its methods have pointer receivers; register a pointer to it")
	}
	return nil
}

func serviceName(c any, given string) (string, error) {
	name := given
	if name == "" {
		t := reflect.TypeOf(c)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		name = t.Name()
	}
	if name == "" {
		return "", errors.New("its type has no name; give one with component.WithName")
	}
	return name, checkName("service", name)
}

// checkName refuses names that could not stand between the dots of a route.
func checkName(what, name string) error {
	bad := func(r rune) bool { return r == '.' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	switch {
	case name == "":
		return fmt.Errorf("%s name is empty", what)
	case len(name) > maxName:
		return fmt.Errorf("%s name has %d bytes; at most %d are allowed", what, len(name), maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, bad):
		return fmt.Errorf("%s name %q must be printable, without dots and spaces", what, name)
	}
	return nil
}
