package config

import (
	"errors"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-playground/validator/v10"
)

// Validate checks every setting of a tree that was made or changed in code and
// returns all faults joined, each a *Fault. What Load returned is valid.
func (c *Config) Validate() error {
	root := c.Root
	if root == "" {
		root = DefaultRoot
	}
	check := newChecker()
	var faults []error
	for _, l := range newSchema().leaves {
		if f := check.leaf(l, c); f != nil {
			f.Key = root + "." + l.key
			faults = append(faults, f)
		}
	}
	for _, f := range crossFaults(c) {
		f.Key = root + "." + f.Key
		faults = append(faults, f)
	}
	return join(faults)
}

// checker runs the validate tags.
type checker struct{ v *validator.Validate }

func newChecker() checker {
	v := validator.New(validator.WithRequiredStructEnabled())
	for name, fn := range map[string]func(reflect.Value) bool{
		"wholeseconds":  func(f reflect.Value) bool { return f.Int()%int64(time.Second) == 0 },
		"label":         func(f reflect.Value) bool { return isLabel(f.String()) },
		"nats_prefix":   func(f reflect.Value) bool { return isSubjectPrefix(f.String()) },
		"admin_address": func(f reflect.Value) bool { return isAddress(f.String()) },
		"off_or_100ms":  func(f reflect.Value) bool { return f.Int() == 0 || f.Int() >= int64(100*time.Millisecond) },
		"off_or_1":      func(f reflect.Value) bool { return f.Float() == 0 || f.Float() >= 1 },
		"token":         func(f reflect.Value) bool { return isToken(f.String()) },
		"rising":        func(f reflect.Value) bool { return isRising(f.Interface().([]float64)) },
	} {
		// The only error is an empty name or function.
		_ = v.RegisterValidation(name, func(fl validator.FieldLevel) bool { return fn(fl.Field()) }, true)
	}
	return checker{v}
}

// leaf checks one setting; the fault it returns has no key yet.
func (c checker) leaf(l leaf, cfg *Config) *Fault {
	if l.validate == "" {
		return nil
	}
	value := l.field(cfg).Interface()
	err := c.v.Var(value, l.validate)
	var broken validator.ValidationErrors
	if !errors.As(err, &broken) {
		return nil
	}
	wants := make([]string, len(broken))
	for i, b := range broken {
		wants[i] = phrase(b.Tag(), b.Param())
		if b.StructField() != "" {
			wants[i] += " at " + b.StructNamespace()
		}
	}
	return &Fault{Value: l.show(value), Want: "must be " + strings.Join(wants, "; ")}
}

// phrase says what one check of a validate tag wants.
func phrase(tag, param string) string {
	switch tag {
	case "gte":
		return "at least " + param
	case "lte":
		return "at most " + param
	case "gt":
		return "more than " + param
	case "lt":
		return "less than " + param
	case "min":
		return "a list of at least " + param
	case "oneof":
		return "one of " + strings.ReplaceAll(param, " ", ", ")
	case "excludes":
		return "without " + param + ": credentials are set in user and pass"
	default:
		return phraseAlone(tag)
	}
}

// phraseAlone is phrase for the checks without a parameter.
func phraseAlone(tag string) string {
	switch tag {
	case "required":
		return "set"
	case "wholeseconds":
		return "whole seconds"
	case "label":
		return "letters, digits and _ (labels), not a digit or __ first"
	case "nats_prefix":
		return "a text without spaces, *, > and empty parts between dots"
	case "admin_address":
		return "host:port, :port or a port"
	case "off_or_100ms":
		return "0 (off) or at least 100ms"
	case "off_or_1":
		return "0 (off) or at least 1"
	case "token":
		return "at least 16 characters, letters, digits and -._~+/="
	case "rising":
		return "rising"
	default:
		return tag
	}
}

func isLabel(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && !strings.HasPrefix(name, "__")
}

// isToken reports whether t is hard to guess and fits a header: RFC 6750, 2.1.
func isToken(t string) bool {
	bad := func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		return !letter && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/=", r)
	}
	return len(t) >= 16 && !strings.ContainsFunc(t, bad)
}

func isRising(bounds []float64) bool {
	for i := 1; i < len(bounds); i++ {
		if !(bounds[i-1] < bounds[i]) {
			return false
		}
	}
	return true
}

// isSubjectPrefix reports whether NATS takes subjects that begin with p. The
// limit leaves room for the rest of a subject, 256 bytes in all.
func isSubjectPrefix(p string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || r == '*' || r == '>' }
	return len(p) <= 64 && !strings.HasPrefix(p, ".") && !strings.Contains(p, "..") && !strings.ContainsFunc(p, bad)
}

func isAddress(address string) bool {
	if !strings.Contains(address, ":") {
		address = ":" + address
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
