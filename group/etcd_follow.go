package group

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcdFollower tells a reader what keys with a prefix there are, and every
// change since, without a gap or with another listing.
type etcdFollower struct {
	store  *EtcdStore
	prefix string
	reader etcdReader
	listed chan struct{} // closed after the first listing

	revision int64 // what the reader knows is of it
	first    bool
}

// etcdReader is told in order, by one goroutine.
type etcdReader interface {
	// list is all there is at a moment.
	list(kvs []*mvccpb.KeyValue)
	// apply is the changes of one revision.
	apply(events []*clientv3.Event)
}

func (e *EtcdStore) follower(prefix string, reader etcdReader) *etcdFollower {
	return &etcdFollower{store: e, prefix: prefix, reader: reader, listed: make(chan struct{}), first: true}
}

// run follows until ctx ends.
func (f *etcdFollower) run(ctx context.Context) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = firstPause, lastPause
	relist := true
	for ctx.Err() == nil {
		began := time.Now()
		if !relist || f.list(ctx) {
			relist = f.watch(ctx)
		}
		if time.Since(began) > time.Second {
			wait.Reset()
		}
		pause(ctx, wait.NextBackOff())
	}
}

// list reads all pages at the revision of the first and reports whether it could.
func (f *etcdFollower) list(ctx context.Context) bool {
	var all []*mvccpb.KeyValue
	from, end, revision := f.prefix, clientv3.GetPrefixRangeEnd(f.prefix), int64(0)
	for {
		page, err := f.page(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(f.store.page), clientv3.WithRev(revision))
		if err != nil {
			return false
		}
		if revision == 0 {
			revision = page.Header.Revision
		}
		all = append(all, page.Kvs...)
		if !page.More || len(page.Kvs) == 0 {
			break
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
	f.revision = revision
	f.reader.list(all)
	if f.first {
		f.first = false
		close(f.listed)
	}
	return true
}

func (f *etcdFollower) page(ctx context.Context, from string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := f.store.bounded(ctx)
	defer cancel()
	return f.store.client.Get(ctx, from, opts...)
}

// watch applies what happens until the watch ends, and reports whether what
// follows has to be listed: etcd does not have all changes since any more, or
// lost its history.
func (f *etcdFollower) watch(ctx context.Context) (relist bool) {
	ctx, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer stop()
	events := f.store.run.watcher.Watch(ctx, f.prefix, clientv3.WithPrefix(), clientv3.WithRev(f.revision+1),
		clientv3.WithCreatedNotify(), clientv3.WithProgressNotify())
	for answer := range events {
		switch {
		case answer.CompactRevision != 0:
			return true
		case answer.Err() != nil:
			return false
		case answer.Created && answer.Header.Revision < f.revision && f.backwards(ctx):
			return true
		case answer.IsProgressNotify():
			f.revision = answer.Header.Revision
		}
		for rest := answer.Events; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].Kv.ModRevision == rest[0].Kv.ModRevision {
				n++
			}
			f.revision = rest[0].Kv.ModRevision
			f.reader.apply(rest[:n])
			rest = rest[n:]
		}
	}
	return false
}

// backwards reports whether etcd lost its history: a watch from a revision
// that it does not know would be silent. A node that only lags does no harm.
func (f *etcdFollower) backwards(ctx context.Context) bool {
	answer, err := f.page(ctx, f.prefix, clientv3.WithCountOnly())
	return err != nil || answer.Header.Revision < f.revision
}

// etcdHeld tells what this server has to end when users unbind.
type etcdHeld struct {
	keys  keys
	self  Holder
	sink  Sink
	known map[string]int64 // by key
}

func (h *etcdHeld) list(kvs []*mvccpb.KeyValue) {
	now := make(map[string]struct{}, len(kvs))
	for _, kv := range kvs {
		now[string(kv.Key)] = struct{}{}
		h.held(kv)
	}
	for key := range h.known {
		if _, there := now[key]; !there {
			h.released(key)
		}
	}
}

func (h *etcdHeld) apply(events []*clientv3.Event) {
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			h.released(string(e.Kv.Key))
			continue
		}
		h.held(e.Kv)
	}
}

func (h *etcdHeld) held(kv *mvccpb.KeyValue) {
	key := string(kv.Key)
	name, uid, ok := h.keys.splitHold(key[len(h.keys.holds(h.self)):])
	if ok && h.known[key] != kv.ModRevision {
		h.known[key] = kv.ModRevision
		h.sink.Held(name, uid, kv.ModRevision)
	}
}

func (h *etcdHeld) released(key string) {
	if _, was := h.known[key]; !was {
		return
	}
	delete(h.known, key)
	if name, uid, ok := h.keys.splitHold(key[len(h.keys.holds(h.self)):]); ok {
		h.sink.Released(name, uid)
	}
}
