package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

// How a user of etcd does things.
const (
	byCereus = "cereus"
	byHand   = "raw"
)

// etcdUser is the role "etcd user": it fills, lists, watches, joins and leaves, with
// cereus or by hand.
type etcdUser struct {
	endpoint string
	client   *clientv3.Client
	group    *lifecycle.Group
	seen     sightings
	members  map[string]member
	stops    []func(context.Context) error
}

// member is a server that joined.
type member struct {
	began        time.Time
	leave, close func(context.Context) error
}

// etcdTask is the argument of its orders; each uses what it needs.
type etcdTask struct {
	By     string
	Prefix string
	Count  int           // of servers, watchers or changes
	ID     string        // of a server, or what is special about a change
	Event  string        // up, update or down
	Time   time.Duration // how long
}

func startEtcdUser(ctx context.Context, endpoint string) (*etcdUser, error) {
	client, err := newEtcdClient(endpoint)
	if err != nil {
		return nil, err
	}
	return &etcdUser{
		endpoint: endpoint, client: client, group: lifecycle.NewGroup(ctx), members: map[string]member{},
	}, nil
}

func (e *etcdUser) commands(known commands) {
	known["fill"] = does(func(ctx context.Context, t etcdTask) (int, error) { return t.Count, e.fill(ctx, t.Prefix, t.Count) })
	known["first"] = does(e.first)
	known["change"] = does(func(ctx context.Context, t etcdTask) (int, error) {
		return t.Count, e.change(ctx, t.Prefix, t.Count, t.ID)
	})
	known["txn"], known["gone"] = does(e.transact), does(e.gone)
	known["watch"], known["join"], known["leave"], known["seen"] = does(e.watch), does(e.join), does(e.leave), does(e.await)
}

func (e *etcdUser) stop(ctx context.Context) error {
	var faults []error
	for _, m := range e.members {
		faults = append(faults, m.leave(ctx), m.close(ctx))
	}
	for _, stop := range e.stops {
		faults = append(faults, stop(ctx))
	}
	return errors.Join(append(faults, e.group.Stop(ctx), quietClose(e.client))...)
}

// first is the median time, in ms, of knowing Count servers from nothing.
func (e *etcdUser) first(ctx context.Context, t etcdTask) (float64, error) {
	list := e.firstSync
	if t.By == byHand {
		list = e.firstRead
	}
	var all []float64
	for begin := time.Now(); time.Since(begin) < t.Time || len(all) < 3; {
		took, err := list(ctx, t.Prefix, t.Count)
		if err != nil {
			return 0, err
		}
		all = append(all, took.Seconds()*1e3)
	}
	return median(all), nil
}

// watch starts Count watchers.
func (e *etcdUser) watch(ctx context.Context, t etcdTask) (int, error) {
	start := e.watchCereus
	if t.By == byHand {
		start = e.watchRaw
	}
	for range t.Count {
		if err := start(ctx, t.Prefix); err != nil {
			return 0, err
		}
	}
	return t.Count, nil
}

// join registers one server, or Count of them, and says when the last of them began to.
func (e *etcdUser) join(ctx context.Context, t etcdTask) (time.Time, error) {
	join := e.joinCereus
	if t.By == byHand {
		join = e.joinRaw
	}
	var last time.Time
	for n := range max(t.Count, 1) {
		id := t.ID
		if t.Count > 0 {
			id = fmt.Sprintf("%s-%d", t.ID, n)
		}
		m, err := join(ctx, t.Prefix, id)
		if err != nil {
			return last, err
		}
		last, e.members[id] = m.began, m
	}
	return last, nil
}

// leave has a server leave and says when it began to.
func (e *etcdUser) leave(ctx context.Context, t etcdTask) (time.Time, error) {
	m, known := e.members[t.ID]
	if !known {
		return time.Time{}, fmt.Errorf("%s never joined", t.ID)
	}
	delete(e.members, t.ID)
	began := time.Now()
	return began, errors.Join(m.leave(ctx), m.close(ctx))
}

// await waits until the watchers saw the event Count times, and says when they did.
func (e *etcdUser) await(ctx context.Context, t etcdTask) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return e.seen.await(ctx, t.Event, t.ID, t.Count)
}
