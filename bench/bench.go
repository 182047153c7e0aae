package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// bench is one run of the whole program.
type bench struct {
	only    *regexp.Regexp // names of rows that are measured
	runs    int
	time    time.Duration
	profile string // folder; empty: no profiles
	load    *child

	children []*child
	steps    []step // of the scenario that is being prepared
	rows     []*row
	run      int
}

// step measures one row, once per run.
type step func(ctx context.Context) error

// scenario starts its processes and adds its steps.
type scenario struct {
	name    string
	prepare func(b *bench, ctx context.Context) error
}

const (
	warmUp      = 400 * time.Millisecond
	payload     = 64
	pushPayload = 128
)

// measure runs every step of s in turn, as often as there are runs, so that a
// limit and what it limits see the same machine.
func (b *bench) measure(ctx context.Context, s scenario) (err error) {
	b.steps, b.children = nil, nil
	defer func() { err = errors.Join(err, b.stopChildren()) }()
	if b.load, err = b.start(ctx, roleLoad, nil, nil); err != nil {
		return err
	}
	if err := s.prepare(b, ctx); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	for b.run = range b.runs {
		for _, do := range b.steps {
			if err := b.within(ctx, do); err != nil {
				return fmt.Errorf("%s, run %d: %w", s.name, b.run+1, err)
			}
		}
	}
	for _, r := range b.rows {
		r.compare()
	}
	return nil
}

func (b *bench) within(ctx context.Context, do step) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.time+3*patience, errors.New("took too long"))
	defer cancel()
	return do(ctx)
}

// start runs a child that ends with the scenario.
func (b *bench) start(ctx context.Context, role string, settings, result any) (*child, error) {
	c, err := startChild(role)
	if err != nil {
		return nil, err
	}
	b.children = append(b.children, c)
	if settings == nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*patience, errors.New("took too long to start"))
	defer cancel()
	return c, c.ask(ctx, "start", settings, result)
}

func (b *bench) stopChildren() error {
	var faults []error
	for i := range b.children {
		faults = append(faults, b.children[len(b.children)-1-i].stop())
	}
	b.children = nil
	return errors.Join(faults...)
}

func (b *bench) row(name, unit string) *row {
	r := &row{Name: name, Unit: unit}
	b.rows = append(b.rows, r)
	return r
}

// each adds a step that asks worker for a load and adds its rate to r, and what
// that cost the server.
func (b *bench) each(r *row, server, worker *child, do string, args any) *row {
	return b.eachOf(r, load{server: server, worker: worker, do: do, args: args})
}

// load is what worker does to server; with a callee, that answers the server.
type load struct {
	server, callee, worker *child
	do                     string
	args                   any
}

func (b *bench) eachOf(r *row, l load) *row {
	if !b.only.MatchString(r.Name) {
		return r
	}
	b.steps = append(b.steps, func(ctx context.Context) error {
		var result loadResult
		caller, callee := &meter{of: l.server}, &meter{of: l.callee}
		err := errors.Join(caller.begin(ctx), callee.begin(ctx),
			b.profiled(ctx, r, func() error { return l.worker.ask(ctx, l.do, l.args, &result) }))
		if err == nil {
			err = errors.Join(caller.end(ctx), callee.end(ctx))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		r.Runs = append(r.Runs, result.Rate)
		total := float64(max(result.Total, 1))
		r.CPU = append(r.CPU, float64(caller.used.CPU.Nanoseconds())/1e3/total)
		r.Allocs = append(r.Allocs, float64(caller.used.Mallocs)/total)
		if l.callee != nil {
			r.CalleeCPU = append(r.CalleeCPU, float64(callee.used.CPU.Nanoseconds())/1e3/total)
			r.Callee = append(r.Callee, float64(callee.used.Mallocs)/total)
		}
		return nil
	})
	return r
}

// meter measures what a child uses from begin to end; without one, nothing.
type meter struct {
	of           *child
	before, used usage
}

func (m *meter) begin(ctx context.Context) error {
	if m.of == nil {
		return nil
	}
	return m.of.ask(ctx, "usage", nil, &m.before)
}

func (m *meter) end(ctx context.Context) error {
	if m.of == nil {
		return nil
	}
	err := m.of.ask(ctx, "usage", nil, &m.used)
	m.used.CPU -= m.before.CPU
	m.used.Mallocs -= m.before.Mallocs
	return err
}

// profiled writes a profile of every child that serves, in the last run.
func (b *bench) profiled(ctx context.Context, r *row, do func() error) error {
	if b.profile == "" || b.run != b.runs-1 {
		return do()
	}
	folder, err := filepath.Abs(b.profile)
	if err != nil {
		return err
	}
	name := strings.NewReplacer(" ", "_", ",", "").Replace(r.Name)
	faults := []error{}
	for i, c := range b.children {
		path := filepath.Join(folder, fmt.Sprintf("%s.%d-%s", name, i, c.role))
		faults = append(faults, c.ask(ctx, "profile", path, nil))
	}
	faults = append(faults, do())
	for _, c := range b.children {
		faults = append(faults, c.ask(ctx, "profiled", nil, nil))
	}
	return errors.Join(faults...)
}
