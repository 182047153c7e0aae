package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// fillBatch is how many keys one transaction puts, below etcd's limit of 128.
const fillBatch = 100

func newEtcdClient(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: patience, Logger: zap.NewNop()})
}

// plainServer is what a range read is decoded into that wants to know no more.
type plainServer struct {
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Metadata map[string]string `json:"metadata"`
	Frontend bool              `json:"frontend"`
	Hostname string            `json:"hostname"`
}

// key is a server's, below a prefix.
func key(prefix, id string) string { return prefix + "servers/" + typeBack + "/" + id }

func serverName(n int) string { return fmt.Sprintf("room-%05d-5f0c2d", n) }

// fill puts that many servers.
func (e *etcdUser) fill(ctx context.Context, prefix string, servers int) error {
	for begin := 0; begin < servers; begin += fillBatch {
		var ops []clientv3.Op
		for n := begin; n < min(begin+fillBatch, servers); n++ {
			value, err := aServer(serverName(n)).MarshalJSON()
			if err != nil {
				return err
			}
			ops = append(ops, clientv3.OpPut(key(prefix, serverName(n)), string(value)))
		}
		if _, err := e.client.Txn(ctx).Then(ops...).Commit(); err != nil {
			return err
		}
	}
	return nil
}

// firstRead is the limit of firstSync.
func (e *etcdUser) firstRead(ctx context.Context, prefix string, want int) (time.Duration, error) {
	begin := time.Now()
	resp, err := e.client.Get(ctx, prefix+"servers/", clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	servers := make([]plainServer, len(resp.Kvs))
	for i, pair := range resp.Kvs {
		if err := json.Unmarshal(pair.Value, &servers[i]); err != nil {
			return 0, err
		}
	}
	took := time.Since(begin)
	if len(servers) != want {
		return took, fmt.Errorf("%d servers instead of %d", len(servers), want)
	}
	return took, nil
}

// change puts one server anew again and again, each time another, at a pace that lets
// every watch response have one.
func (e *etcdUser) change(ctx context.Context, prefix string, changes int, generation string) error {
	tick := time.NewTicker(changeEvery)
	defer tick.Stop()
	for n := range changes {
		s := aServer(serverName(n))
		s.Metadata["generation"] = generation
		value, err := s.MarshalJSON()
		if err != nil {
			return err
		}
		if _, err := e.client.Put(ctx, key(prefix, s.ID), string(value)); err != nil {
			return err
		}
		<-tick.C
	}
	return nil
}

// watchRaw observes with a watch of its own over a client of its own.
func (e *etcdUser) watchRaw(ctx context.Context, prefix string) error {
	client, err := newEtcdClient(e.endpoint)
	if err != nil {
		return err
	}
	e.stops = append(e.stops, func(context.Context) error { return quietClose(client) })
	watching := clientv3.WithRequireLeader(e.group.Context())
	events := client.Watch(watching, prefix+"servers/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	select {
	case <-events: // it was created
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	e.group.Go("watch", func(context.Context) {
		for resp := range events {
			for _, event := range resp.Events {
				e.noteRaw(event)
			}
		}
	})
	return nil
}

func (e *etcdUser) noteRaw(event *clientv3.Event) {
	k := string(event.Kv.Key)
	id := k[strings.LastIndexByte(k, '/')+1:]
	if event.Type == clientv3.EventTypeDelete {
		e.seen.note("down", id)
		return
	}
	var s plainServer
	switch err := json.Unmarshal(event.Kv.Value, &s); {
	case err != nil:
	case event.IsCreate():
		e.seen.note("up", s.ID)
	default:
		e.seen.note("update", s.ID)
	}
}

// joinRaw is a lease that is kept alive and a key under it.
func (e *etcdUser) joinRaw(ctx context.Context, prefix, id string) (member, error) {
	value, err := aServer(id).MarshalJSON()
	if err != nil {
		return member{}, err
	}
	m := member{began: time.Now(), close: func(context.Context) error { return nil }}
	lease, err := e.client.Grant(ctx, int64(memberTTL/time.Second))
	if err != nil {
		return member{}, err
	}
	if _, err := e.client.Put(ctx, key(prefix, id), string(value), clientv3.WithLease(lease.ID)); err != nil {
		return member{}, err
	}
	m.leave = func(ctx context.Context) error {
		_, err := e.client.Revoke(ctx, lease.ID)
		return err
	}
	alive, err := e.client.KeepAlive(e.group.Context(), lease.ID)
	if err != nil {
		return member{}, err
	}
	e.group.Go("keepalive", func(context.Context) {
		for range alive { //nolint:revive // the channel has to be read
		}
	})
	return m, nil
}

// quietClose closes a client, which says that its context ended.
func quietClose(client *clientv3.Client) error {
	if err := client.Close(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
