package config

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// defaults is the tree before anything is set, and the checks that it passes.
func (l *loader) defaults() (*Config, checker) {
	cfg := &Config{Root: l.root}
	for _, leaf := range l.schema.leaves {
		value, err := leaf.convert(leaf.defaultText(l.root))
		if err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", leaf.key, err)) // a wrong struct tag; a test loads them all
		}
		leaf.field(cfg).Set(value)
	}
	return cfg, newChecker()
}

// finish makes the tree of what was gathered and checks it.
func (l *loader) finish() *Config {
	cfg, check := l.defaults()
	for _, leaf := range l.schema.leaves {
		set, ok := l.values[leaf.key]
		if !ok {
			continue
		}
		if fault := l.apply(cfg, leaf, set, check); fault != nil {
			l.faults = append(l.faults, fault.at(l.root+"."+leaf.key, set.origin))
		}
	}
	for _, fault := range crossFaults(cfg) {
		l.faults = append(l.faults, fault.at(l.root+"."+fault.Key, l.report.Origin(fault.Key)))
	}
	l.imply(cfg)
	return cfg
}

// apply sets and checks one setting.
func (l *loader) apply(cfg *Config, leaf leaf, set given, check checker) *Fault {
	value, err := leaf.convert(set.raw)
	var bare bareNumber
	switch {
	case errors.As(err, &bare) && l.root == PitayaRoot:
		l.warn(leaf.key, fmt.Sprintf("a number without a unit is nanoseconds: this is %v", time.Duration(bare)))
	case err != nil:
		return &Fault{Value: leaf.show(set.raw), Want: err.Error()}
	}
	leaf.field(cfg).Set(clone(value))
	return check.leaf(leaf, cfg)
}

// clone keeps the tree from sharing lists and maps with Overrides.
func clone(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Slice:
		return reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v)
	case reflect.Map:
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for _, k := range v.MapKeys() {
			out.SetMapIndex(k, v.MapIndex(k))
		}
		return out
	default:
		return v
	}
}
