package cluster

import (
	"bytes"
	"context"
	"errors"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/cereus-game/cereus/internal/lifecycle"
)

const (
	// maxBad is how many bad values are remembered.
	maxBad = 10_000
	// maxExpected is for how many servers room is made before they are read.
	maxExpected = 1 << 16
)

// listing is every server at one revision.
type listing struct {
	revision int64
	updates  []update
}

// entryReader makes servers of what etcd holds. One goroutine uses it at a time.
type entryReader struct {
	log     logrus.FieldLogger
	metrics DiscoveryMetrics
	self    *Server            // nil for an observer
	filter  func(*Server) bool // the user's; nil sees all
	// bad has the revision of every value known not to be a server, so that each is
	// told of once and not at every listing.
	bad       map[string]int64
	readAhead int // pages read and not decoded, at least 1
}

func newEntryReader(p EtcdParams) *entryReader {
	return &entryReader{
		log: p.Log, metrics: p.Metrics, self: p.Self, filter: p.Filter, bad: map[string]int64{}, readAhead: max(p.SyncParallelism, 1),
	}
}

// list reads all servers, in pages at one revision. Pages are read ahead while
// earlier ones are decoded. The first error ends both.
func (r *entryReader) list(ctx context.Context, kv clientv3.KV) (listing, error) {
	pages := newPageReader(kv)
	first, err := pages.next(ctx)
	if err != nil {
		return listing{}, err
	}
	all := listing{revision: pages.revision, updates: make([]update, 0, min(max(first.Count, 0), maxExpected))}
	if pages.end() {
		r.decode(first, &all)
		return all, nil
	}
	if err := r.decodeAhead(ctx, pages, first, &all); err != nil {
		return listing{}, err
	}
	return all, nil
}

// decodeAhead decodes the first page and all that come after it.
func (r *entryReader) decodeAhead(ctx context.Context, pages *pageReader, first *clientv3.GetResponse, all *listing) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	group := lifecycle.NewGroup(ctx)
	// One more is in the hand of who reads.
	ahead := make(chan *clientv3.GetResponse, r.readAhead-1)
	group.Go("discovery.list", func(ctx context.Context) { pages.rest(ctx, ahead, cancel) })
	for page, more := first, true; more && ctx.Err() == nil; page, more = <-ahead {
		r.decode(page, all)
	}
	err := context.Cause(ctx) // nil means that every page came
	cancel(nil)
	return errors.Join(err, group.Stop(context.WithoutCancel(ctx)))
}

// decode adds the servers of a page.
func (r *entryReader) decode(page *clientv3.GetResponse, all *listing) {
	for _, pair := range page.Kvs {
		if u, ok := r.put(pair); ok && (u.server != nil || u.leading != nil) {
			all.updates = append(all.updates, u)
		}
	}
}

// put reads one key and value. A value that is not a server is counted, and
// means that the key, if it can be a server's at all, holds none.
func (r *entryReader) put(pair *mvccpb.KeyValue) (update, bool) {
	if !bytes.HasPrefix(pair.Key, []byte(serversPrefix)) {
		return readLeading(pair)
	}
	s, err := parseServer(string(pair.Key), pair.Value)
	if err != nil {
		r.skip(pair, err)
		return readDelete(pair)
	}
	s.Epoch, s.Revision = pair.CreateRevision, pair.ModRevision
	if !r.sees(s) {
		return readDelete(pair)
	}
	return update{serverType: s.Type, id: s.ID, server: s, revision: pair.ModRevision}, true
}

// sees asks the user's filter. One that panics hides nobody.
func (r *entryReader) sees(s *Server) (visible bool) {
	if r.filter == nil || r.self != nil && s.ID == r.self.ID && s.Type == r.self.Type {
		return true
	}
	defer func() {
		if p := recover(); p != nil {
			visible = true
			r.metrics.ListenerPanicked()
			r.log.WithField("panic", p).Error("filter of service discovery panicked")
		}
	}()
	return r.filter(s)
}

func (r *entryReader) skip(pair *mvccpb.KeyValue, err error) {
	if r.bad[string(pair.Key)] == pair.ModRevision {
		return
	}
	if len(r.bad) >= maxBad {
		clear(r.bad)
	}
	r.bad[string(pair.Key)] = pair.ModRevision
	r.metrics.EntrySkipped()
	r.log.WithError(err).WithFields(logrus.Fields{"key": printable(pair.Key), "bytes": len(pair.Value)}).
		Warn("skipped an entry of etcd that is not a server")
}

// readDelete reads that a key holds no server.
func readDelete(pair *mvccpb.KeyValue) (update, bool) {
	if !bytes.HasPrefix(pair.Key, []byte(serversPrefix)) {
		return readLeading(&mvccpb.KeyValue{Key: pair.Key, ModRevision: pair.ModRevision})
	}
	serverType, id, err := splitServerKey(string(pair.Key))
	return update{serverType: serverType, id: id, revision: pair.ModRevision}, err == nil
}

// printable is a key for the log, cut to a sane length.
func printable(key []byte) string {
	if len(key) > 200 {
		key = key[:200]
	}
	return string(key)
}
