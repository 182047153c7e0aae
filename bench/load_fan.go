package main

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// fanLoad is broadcasts, each begun when everybody has the last.
type fanLoad struct {
	Target  target
	Members int
	Payload int
	Behind  bool // a backend pushes
	WarmUp  time.Duration
	Time    time.Duration
}

// fan counts what the members of a group receive.
type fan struct {
	members  []*link
	control  *link
	received atomic.Int64
	all      chan struct{} // a token per broadcast that everybody has
}

// runFan returns deliveries per second.
func runFan(ctx context.Context, p fanLoad) (loadResult, error) {
	f := &fan{all: make(chan struct{}, 1)}
	defer f.close()
	if err := f.open(ctx, p); err != nil {
		return loadResult{}, err
	}
	work, ctx := errgroup.WithContext(ctx)
	var stop atomic.Bool
	for _, l := range f.members {
		work.Go(func() error { return f.listen(l, &stop) })
	}
	work.Go(func() error { return f.drive(ctx, p, &stop) })
	rate := measure(ctx, p.WarmUp, p.Time, f.received.Load)
	stop.Store(true)
	err := work.Wait()
	return loadResult{Rate: rate, Total: f.received.Load()}, err
}

func (f *fan) open(ctx context.Context, p fanLoad) error {
	until := time.Now().Add(p.WarmUp + p.Time + patience)
	for i := range p.Members + 1 {
		l, err := dial(ctx, p.Target, nil)
		if err != nil {
			return err
		}
		if err := l.SetDeadline(until); err != nil {
			return err
		}
		if i == p.Members {
			f.control = l
			break
		}
		f.members = append(f.members, l)
		if err := l.request(routeJoin, fmt.Appendf(nil, "member-%d", i)); err != nil {
			return fmt.Errorf("join: %w", err)
		}
		if p.Behind {
			if err := l.request(routeEnter, nil); err != nil {
				return fmt.Errorf("enter: %w", err)
			}
		}
	}
	return nil
}

func (f *fan) listen(l *link, stop *atomic.Bool) error {
	members := int64(len(f.members))
	for {
		n, err := l.receive(flagPush)
		if err != nil {
			if stop.Load() {
				return nil
			}
			return err
		}
		for range n {
			if f.received.Add(1)%members == 0 {
				f.all <- struct{}{}
			}
		}
	}
}

// drive begins broadcasts, and at the end closes the members.
func (f *fan) drive(ctx context.Context, p fanLoad, stop *atomic.Bool) error {
	defer f.close()
	data, route := bytes.Repeat([]byte{'x'}, p.Payload), routeBroadcast
	if p.Behind {
		route = routeBroadcastBehind
	}
	for !stop.Load() {
		if err := f.control.request(route, data); err != nil {
			return fmt.Errorf("broadcast: %w", err)
		}
		select {
		case <-f.all:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (f *fan) close() {
	for _, l := range append(f.members[:len(f.members):len(f.members)], f.control) {
		if l != nil {
			_ = l.Close()
		}
	}
}
