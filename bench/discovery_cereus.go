package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cereus-game/cereus/cluster"
)

// memberTTL is short so that runs with a crash are.
const memberTTL = 2 * time.Second

// newDiscovery is service discovery as a server has it; without a self it observes.
func (e *etcdUser) newDiscovery(prefix string, self *cluster.Server) (*cluster.EtcdDiscovery, error) {
	return cluster.NewEtcdDiscovery(cluster.EtcdParams{
		Self: self, Endpoints: []string{e.endpoint}, Prefix: prefix, TTL: memberTTL, BootTimeout: patience,
	})
}

// firstSync is how long it takes to know all servers, over a connection that exists.
func (e *etcdUser) firstSync(ctx context.Context, prefix string, want int) (time.Duration, error) {
	d, err := cluster.NewEtcdDiscovery(cluster.EtcdParams{Client: e.client, Prefix: prefix, BootTimeout: patience})
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := d.Init(ctx); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if n := len(d.Servers()); n != want {
		err = fmt.Errorf("%d servers instead of %d", n, want)
	}
	return took, errors.Join(err, d.Shutdown(ctx))
}

// watchCereus observes with service discovery.
func (e *etcdUser) watchCereus(ctx context.Context, prefix string) error {
	d, err := e.newDiscovery(prefix, nil)
	if err != nil {
		return err
	}
	if err := d.Init(ctx); err != nil {
		return err
	}
	e.stops = append(e.stops, d.Shutdown)
	d.AddListener(listener{&e.seen})
	return nil
}

// listener writes down when it hears what.
type listener struct{ seen *sightings }

func (l listener) AddServer(e cluster.Event)    { l.seen.note("up", e.Server.ID) }
func (l listener) RemoveServer(e cluster.Event) { l.seen.note("down", e.Server.ID) }
func (l listener) UpdateServer(e cluster.Event) { l.seen.note("update", e.Server.ID) }

// joinCereus registers a server, which is how a server joins.
func (e *etcdUser) joinCereus(ctx context.Context, prefix, id string) (member, error) {
	d, err := e.newDiscovery(prefix, aServer(id))
	if err != nil {
		return member{}, err
	}
	if err := d.Init(ctx); err != nil {
		return member{}, err
	}
	m := member{leave: d.Deregister, close: d.Shutdown, began: time.Now()}
	if err := d.Register(ctx); err != nil {
		return member{}, errors.Join(err, d.Shutdown(ctx))
	}
	return m, nil
}

// aServer is as big as servers are.
func aServer(id string) *cluster.Server {
	return &cluster.Server{
		ID: id, Type: typeBack, Hostname: "game-host-12.example",
		Metadata: map[string]string{"stack": "blue", "region": "eu-west-1", "build": "v1.2.3"},
		Nonce:    "ABCDEFGHIJKLMNOPQRSTUVWXYZ", Caps: []string{"order", "push", "merge", "load"}, Weight: 100,
	}
}
