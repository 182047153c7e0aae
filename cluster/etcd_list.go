package cluster

import (
	"context"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// listPage is how many keys one read of a listing returns.
	listPage = 250
	// maxBad is how many bad values are remembered.
	maxBad = 10_000
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
	// bad has the revision of every value known not to be a server, so that each is
	// told of once and not at every listing.
	bad map[string]int64
}

func newEntryReader(p EtcdParams) *entryReader {
	return &entryReader{log: p.Log, metrics: p.Metrics, bad: map[string]int64{}}
}

// list reads all servers in pages at one revision.
func (r *entryReader) list(ctx context.Context, kv clientv3.KV) (listing, error) {
	end := clientv3.GetPrefixRangeEnd(serversPrefix)
	var all listing
	for from := serversPrefix; ; {
		resp, err := kv.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(listPage), clientv3.WithRev(all.revision))
		if err != nil {
			return listing{}, err
		}
		if all.revision == 0 {
			all.revision = resp.Header.Revision
		}
		for _, pair := range resp.Kvs {
			if u, ok := r.put(pair); ok && u.server != nil {
				all.updates = append(all.updates, u)
			}
		}
		if !resp.More || len(resp.Kvs) == 0 {
			return all, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// put reads one key and value. A value that is not a server is counted, and
// means that the key, if it can be a server's at all, holds none.
func (r *entryReader) put(pair *mvccpb.KeyValue) (update, bool) {
	s, err := parseServer(string(pair.Key), pair.Value)
	if err != nil {
		r.skip(pair, err)
		return readDelete(pair)
	}
	s.Epoch, s.Revision = pair.CreateRevision, pair.ModRevision
	return update{serverType: s.Type, id: s.ID, server: s, revision: pair.ModRevision}, true
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
