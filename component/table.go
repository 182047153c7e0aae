package component

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Table holds the handlers and the remotes of one app. Looking up is lock-free
// and may go on while components are registered. Use [NewTable].
type Table struct {
	mu         sync.Mutex // guards registration: check for duplicates, then publish
	handlers   atomic.Pointer[map[string]*Method]
	remotes    atomic.Pointer[map[string]*Method]
	components []any
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{}
	t.handlers.Store(&map[string]*Method{})
	t.remotes.Store(&map[string]*Method{})
	return t
}

// Register adds the handlers of c, found or listed (see the package comment).
// A component that lists its routes may list remotes too; they become remotes.
// All faults come back joined, and then nothing was added: a method that looks
// like a handler but is none, a name that is taken or cannot stand in a route,
// a hook with the wrong signature, a component without any method.
func (t *Table) Register(c any, opts ...Option) error {
	return t.register(c, opts, asHandlers)
}

// RegisterRemote adds the remotes of c, under the same rules as Register.
func (t *Table) RegisterRemote(c any, opts ...Option) error {
	return t.register(c, opts, asRemotes)
}

// Handler returns the handler registered as "service.method".
func (t *Table) Handler(short string) (*Method, bool) {
	m, ok := (*t.handlers.Load())[short]
	return m, ok
}

// Remote returns the remote registered as "service.method".
func (t *Table) Remote(short string) (*Method, bool) {
	m, ok := (*t.remotes.Load())[short]
	return m, ok
}

// Components returns every registered component once, in the order of
// registration, for the lifecycle hooks.
func (t *Table) Components() []any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.components)
}

// Info describes one route of a table.
type Info struct {
	Short      string // "service.method"
	Kind       Kind
	Remote     bool
	Concurrent bool
	Argument   string // Go type; "" when there is none
	Reply      string // Go type; "" for a notify
	Component  string // Go type
}

// Routes lists every handler and then every remote, each sorted by name.
func (t *Table) Routes() []Info {
	var infos []Info
	for _, methods := range []map[string]*Method{*t.handlers.Load(), *t.remotes.Load()} {
		for _, short := range slices.Sorted(maps.Keys(methods)) {
			infos = append(infos, methods[short].info())
		}
	}
	return infos
}

func (m *Method) info() Info {
	return Info{
		Short: m.Short(), Kind: m.Kind, Remote: m.as == asRemotes, Concurrent: m.Concurrent,
		Argument: m.argType, Reply: m.outType, Component: m.owner,
	}
}

func (t *Table) register(c any, opts []Option, as role) error {
	o := options{}
	for _, opt := range opts {
		opt.applyComponent(&o)
	}
	methods, err := collect(c, &o, as)
	if err != nil {
		return fmt.Errorf("component %T: %w", c, err)
	}
	if err := t.publish(c, methods); err != nil {
		return fmt.Errorf("component %T: %w", c, err)
	}
	return nil
}

// collect finds and names the methods of c and checks everything that does not
// depend on other components.
func collect(c any, o *options, as role) ([]*Method, error) {
	if err := checkComponent(c); err != nil {
		return nil, err
	}
	service, err := serviceName(c, o.service)
	if err != nil {
		return nil, err
	}
	var methods []*Method
	if r, ok := c.(Router); ok {
		methods, err = listed(r)
	} else {
		methods, err = found(c, o.nameFunc, as)
	}
	faults := []error{err, checkHooks(c)}
	if len(methods) == 0 && err == nil && !hasHooks(c) {
		faults = append(faults, errors.New("it has no method of the shape func(context.Context, *Request) (*Reply, error)"))
	}
	for _, m := range methods {
		m.Service, m.owner = service, fmt.Sprintf("%T", c)
		faults = append(faults, checkName("method", m.Name))
	}
	faults = append(faults, choose(methods, o.chosen))
	return methods, errors.Join(faults...)
}

// publish puts the methods into the table, all or none.
func (t *Table) publish(c any, methods []*Method) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	handlers, remotes := maps.Clone(*t.handlers.Load()), maps.Clone(*t.remotes.Load())
	var faults []error
	for _, m := range methods {
		into := handlers
		if m.as == asRemotes {
			into = remotes
		}
		if other, taken := into[m.Short()]; taken {
			faults = append(faults, fmt.Errorf("%q is already registered by %s", m.Short(), other.owner))
		}
		into[m.Short()] = m
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	t.handlers.Store(&handlers)
	t.remotes.Store(&remotes)
	t.remember(c)
	return nil
}

func (t *Table) remember(c any) {
	known := func(other any) bool {
		return reflect.ValueOf(c).Comparable() && reflect.TypeOf(other) == reflect.TypeOf(c) && other == c
	}
	if !slices.ContainsFunc(t.components, known) {
		t.components = append(t.components, c)
	}
}

// choose applies the options that are for some of the methods.
func choose(methods []*Method, options []chooser) error {
	var faults []error
	for _, o := range options {
		for _, m := range methods {
			if len(o.names()) == 0 && o.suits(m) || slices.Contains(o.names(), m.Name) {
				faults = append(faults, o.applyRoute(m))
			}
		}
		for _, name := range o.names() {
			if !slices.ContainsFunc(methods, func(m *Method) bool { return m.Name == name }) {
				faults = append(faults, fmt.Errorf("%s names %q; the methods are %s", o.title(), name, names(methods)))
			}
		}
		if len(o.names()) == 0 && len(methods) > 0 && !slices.ContainsFunc(methods, o.suits) {
			faults = append(faults, fmt.Errorf("%s is for %s, and the component has none", o.title(), o.audience()))
		}
	}
	return errors.Join(faults...)
}

func names(methods []*Method) string {
	list := make([]string, len(methods))
	for i, m := range methods {
		list[i] = m.Name
	}
	return strings.Join(list, ", ")
}
