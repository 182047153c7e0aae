package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	manyServers  = 5000
	manyWatchers = 50
	folderMany   = "many/" // of etcd; whatever else is measured has another one
	changes      = 200     // of a run
	changeEvery  = 5 * time.Millisecond
)

// registry is etcd and those who use it.
type registry struct {
	endpoint string
	lister   *child
	member   *child
	watchers map[string]*child // by how they watch
}

// discovery is what service discovery costs beside the same done by hand.
func (b *bench) discovery(ctx context.Context) error {
	r := registry{watchers: map[string]*child{}}
	if _, err := b.start(ctx, roleBrokers, brokerSettings{}, &r.endpoint); err != nil {
		return err
	}
	var faults [4]error
	r.lister, faults[0] = b.start(ctx, roleEtcd, r.endpoint, nil)
	r.member, faults[1] = b.start(ctx, roleEtcd, r.endpoint, nil)
	r.watchers[byHand], faults[2] = b.start(ctx, roleEtcd, r.endpoint, nil)
	r.watchers[byCereus], faults[3] = b.start(ctx, roleEtcd, r.endpoint, nil)
	if err := errors.Join(faults[:]...); err != nil {
		return err
	}
	if err := r.lister.ask(ctx, "fill", etcdTask{Prefix: folderMany, Count: manyServers}, nil); err != nil {
		return err
	}
	b.firstRows(r)
	if err := errors.Join(b.changeRows(ctx, r), b.memberRows(ctx, r)); err != nil {
		return err
	}
	b.idleServers(r)
	return nil
}

// firstRows is how long it takes to know all servers.
func (b *bench) firstRows(r registry) {
	raw := b.first("raw range read and decode", r, byHand)
	b.first("first sync", r, byCereus).atMostTimes(raw, 1.5)
}

func (b *bench) first(name string, r registry, by string) *row {
	row := b.row(fmt.Sprintf("%s of %d servers", name, manyServers), "ms")
	b.steps = append(b.steps, func(ctx context.Context) error {
		var took float64
		err := r.lister.ask(ctx, "first", etcdTask{By: by, Prefix: folderMany, Count: manyServers, Time: b.time}, &took)
		row.Runs = append(row.Runs, took)
		return err
	})
	return row
}

// costs are the rows of what one change costs a process that hears of it.
type costs struct{ cpu, allocated *row }

func (b *bench) costRows(who string) costs {
	return costs{
		b.row(fmt.Sprintf("%s: one change among %d, CPU", who, manyServers), "µs"),
		b.row(fmt.Sprintf("%s: one change among %d, allocated", who, manyServers), "KB"),
	}
}

func (c costs) add(before, after usage) {
	c.cpu.Runs = append(c.cpu.Runs, float64((after.CPU-before.CPU).Nanoseconds())/1e3/changes)
	c.allocated.Runs = append(c.allocated.Runs, float64(after.Allocated-before.Allocated)/1e3/changes)
}

// changeRows has two processes hear of the same changes, each in its way.
func (b *bench) changeRows(ctx context.Context, r registry) error {
	hand, err1 := b.startWatcher(ctx, r, byHand)
	cereus, err2 := b.startWatcher(ctx, r, byCereus)
	raw, ours := b.costRows("raw watch"), b.costRows("discovery")
	ours.cpu.beside(raw.cpu, 0).AtMost = 300
	ours.allocated.beside(raw.allocated, 0).AtMost = 300
	b.steps = append(b.steps, func(ctx context.Context) error {
		var handBefore, handAfter, before, after usage
		for _, order := range []struct {
			to     *child
			do     string
			args   any
			result any
		}{
			{hand, "usage", nil, &handBefore},
			{cereus, "usage", nil, &before},
			{r.lister, "change", etcdTask{Prefix: folderMany, Count: changes, ID: fmt.Sprint("run ", b.run)}, nil},
			{hand, "seen", etcdTask{Event: "update", ID: anyServer, Count: changes}, nil},
			{cereus, "seen", etcdTask{Event: "update", ID: anyServer, Count: changes}, nil},
			{hand, "usage", nil, &handAfter},
			{cereus, "usage", nil, &after},
		} {
			if err := order.to.ask(ctx, order.do, order.args, order.result); err != nil {
				return err
			}
		}
		raw.add(handBefore, handAfter)
		ours.add(before, after)
		return nil
	})
	return errors.Join(err1, err2)
}

// startWatcher starts a process that watches many servers.
func (b *bench) startWatcher(ctx context.Context, r registry, by string) (*child, error) {
	c, err := b.start(ctx, roleEtcd, r.endpoint, nil)
	if err != nil {
		return nil, err
	}
	return c, c.ask(ctx, "watch", etcdTask{By: by, Prefix: folderMany, Count: 1}, nil)
}
