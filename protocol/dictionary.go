package protocol

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Dictionary maps routes to two-byte codes and back (wire.md 3.4). It is
// immutable and safe for concurrent use; a nil Dictionary is empty.
type Dictionary struct {
	codes  map[string]uint16
	routes map[uint16]string
}

// NewDictionary copies routes. White space around a route is dropped; a route
// that is empty, longer than 255 bytes or given twice, and a code given twice,
// are refused, all faults joined in one error.
func NewDictionary(routes map[string]uint16) (*Dictionary, error) {
	d := &Dictionary{
		codes:  make(map[string]uint16, len(routes)),
		routes: make(map[uint16]string, len(routes)),
	}
	var faults []error
	// Sorted, so that the same faults always read the same.
	for _, route := range slices.Sorted(maps.Keys(routes)) {
		if err := d.add(strings.TrimSpace(route), routes[route]); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return d, nil
}

func (d *Dictionary) add(route string, code uint16) error {
	if route == "" {
		return fmt.Errorf("route dictionary: code %d has an empty route", code)
	}
	if len(route) > maxRoute {
		return fmt.Errorf("route dictionary: code %d: %w", code, ErrRouteTooLong)
	}
	if _, ok := d.codes[route]; ok {
		return fmt.Errorf("route dictionary: route %q is listed twice (spaces around it do not count)", route)
	}
	if other, ok := d.routes[code]; ok {
		return fmt.Errorf("route dictionary: routes %q and %q have the same code %d", other, route, code)
	}
	d.codes[route], d.routes[code] = code, route
	return nil
}

// Len is the number of routes.
func (d *Dictionary) Len() int {
	if d == nil {
		return 0
	}
	return len(d.codes)
}

// Code is the code of a route.
func (d *Dictionary) Code(route string) (uint16, bool) {
	if d == nil {
		return 0, false
	}
	code, ok := d.codes[route]
	return code, ok
}

// Route is the route of a code.
func (d *Dictionary) Route(code uint16) (string, bool) {
	if d == nil {
		return "", false
	}
	route, ok := d.routes[code]
	return route, ok
}

// Routes is a copy of the whole map, never nil.
func (d *Dictionary) Routes() map[string]uint16 {
	routes := make(map[string]uint16, d.Len())
	if d != nil {
		maps.Copy(routes, d.codes)
	}
	return routes
}
