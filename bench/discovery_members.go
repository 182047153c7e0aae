package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// joinsOfRun is how many joins and leaves a figure is the median of.
const joinsOfRun = 10

// moves are the rows of how soon the last of many watchers sees what a server does.
type moves struct{ join, leave, crash *row }

func (b *bench) moveRows(who string) moves {
	return moves{
		b.row(fmt.Sprintf("%s: join seen by all of %d", who, manyWatchers), "ms"),
		b.row(fmt.Sprintf("%s: leave seen by all of %d", who, manyWatchers), "ms"),
		b.row(fmt.Sprintf("%s: crash seen by all of %d, TTL %v", who, manyWatchers, memberTTL), "ms"),
	}
}

func (b *bench) memberRows(ctx context.Context, r registry) error {
	raw, ours := b.moveRows("raw etcd"), b.moveRows("discovery")
	ours.join.beside(raw.join, 0).AtMost = 50
	ours.leave.beside(raw.leave, 0).AtMost = 50
	ours.crash.beside(raw.crash, 0).AtMost = float64((memberTTL + 1500*time.Millisecond).Milliseconds())
	if err := b.moveSteps(ctx, r, byHand, raw); err != nil {
		return err
	}
	return b.moveSteps(ctx, r, byCereus, ours)
}

func (b *bench) moveSteps(ctx context.Context, r registry, by string, m moves) error {
	b.steps = append(b.steps, func(ctx context.Context) error {
		joined, left, err := b.comeAndGo(ctx, r, by)
		m.join.Runs, m.leave.Runs = append(m.join.Runs, joined), append(m.leave.Runs, left)
		return err
	}, func(ctx context.Context) error {
		gone, err := b.crash(ctx, r, by)
		m.crash.Runs = append(m.crash.Runs, gone)
		return err
	})
	return r.watchers[by].ask(ctx, "watch", etcdTask{By: by, Prefix: by + "/", Count: manyWatchers}, nil)
}

// comeAndGo is the medians of several joins and leaves.
func (b *bench) comeAndGo(ctx context.Context, r registry, by string) (joined, left float64, err error) {
	var joins, leaves []float64
	for n := range joinsOfRun {
		task := etcdTask{By: by, Prefix: by + "/", ID: fmt.Sprintf("member-%d-%d", b.run, n)}
		joined, err := sighted(ctx, r.member, r.watchers[by], "join", task)
		if err != nil {
			return 0, 0, err
		}
		left, err := sighted(ctx, r.member, r.watchers[by], "leave", task)
		if err != nil {
			return 0, 0, err
		}
		joins, leaves = append(joins, joined), append(leaves, left)
	}
	return median(joins), median(leaves), nil
}

// sighted has a member do something and is the ms until the last watcher saw it.
func sighted(ctx context.Context, doer, watcher *child, do string, t etcdTask) (float64, error) {
	var began time.Time
	if err := doer.ask(ctx, do, t, &began); err != nil {
		return 0, err
	}
	event := map[string]string{"join": "up", "leave": "down"}[do]
	return lastSeen(ctx, watcher, event, t.ID, began)
}

func lastSeen(ctx context.Context, watcher *child, event, id string, began time.Time) (float64, error) {
	var times []time.Time
	if err := watcher.ask(ctx, "seen", etcdTask{Event: event, ID: id, Count: manyWatchers}, &times); err != nil {
		return 0, err
	}
	return slices.MaxFunc(times, time.Time.Compare).Sub(began).Seconds() * 1e3, nil
}

// crash kills a process that had joined.
func (b *bench) crash(ctx context.Context, r registry, by string) (float64, error) {
	victim, err := startChild(roleEtcd)
	if err != nil {
		return 0, err
	}
	t := etcdTask{By: by, Prefix: by + "/", ID: fmt.Sprint("victim-", b.run)}
	err = victim.ask(ctx, "start", r.endpoint, nil)
	if err == nil {
		_, err = sighted(ctx, victim, r.watchers[by], "join", t)
	}
	began := time.Now()
	victim.kill()
	if err != nil {
		return 0, err
	}
	return lastSeen(ctx, r.watchers[by], "down", t.ID, began)
}
