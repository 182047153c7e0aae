package cluster

import (
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ErrNotRegistered is returned for what needs this server's lease while it has none.
var ErrNotRegistered = errors.New("etcd discovery: this server is not registered right now")

// kv is the part of etcd inside the prefix.
func (d *EtcdDiscovery) kv() (clientv3.KV, error) {
	run := d.link.Load()
	if run == nil {
		return nil, ErrNotRunning
	}
	return run.store.kv, nil
}

// whole is all of etcd: its keys have the prefix.
func (d *EtcdDiscovery) whole() (clientv3.KV, error) {
	run := d.link.Load()
	if run == nil {
		return nil, ErrNotRunning
	}
	return run.store.client.KV, nil
}

// lease is what further keys of this server can stand on now.
func (d *EtcdDiscovery) lease() (clientv3.LeaseID, error) {
	run := d.link.Load()
	if run == nil || run.own == nil || !run.own.held.Load() {
		return 0, ErrNotRegistered
	}
	return run.own.lease.id(), nil
}

// onGap has fn called when something may have been missed, or lost, that stands
// in etcd: the server registered (again), or etcd was away. It must not block and
// be set before Init.
func (d *EtcdDiscovery) onGap(fn func()) { d.gap = fn }

// passed tells of the end of a gap.
func (d *EtcdDiscovery) passed() {
	if d.gap != nil {
		d.gap()
	}
}
